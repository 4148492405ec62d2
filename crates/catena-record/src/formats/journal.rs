//! `journal.jsonl`: a line a step.
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The file's name in the run directory.
pub const NAME: &str = "journal.jsonl";

/// A line of `journal.jsonl`: what a window of the first pass did when it closed.
///
/// ```
/// use catena_record::formats::journal::JournalRow;
///
/// let line = r#"{"stage":"train","epoch":1,"global_batch":2,"global_step":2,"ids":"00","lr":0.5,"loss":"3ff8000000000000"}"#;
/// let row: JournalRow = serde_json::from_str(line)?;
/// assert_eq!((row.loss, row.lr, row.grad_norm), (Some(1.5), Some(0.5), None));
/// assert_eq!(serde_json::to_string(&row)?, line);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalRow<'a> {
    /// The stage's name.
    #[serde(borrow, default)]
    pub stage: Cow<'a, str>,
    /// The epoch in its stage, from 1.
    #[serde(default)]
    pub epoch: u64,
    /// The run's train batches so far.
    pub global_batch: u64,
    /// The run's steps so far, this one included.
    pub global_step: u64,
    /// What became of the step, such as `skipped by NanGuard`; none if it was made.
    #[serde(
        borrow,
        default,
        deserialize_with = "super::text::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub outcome: Option<Cow<'a, str>>,
    /// A hash of the numbers of the window's samples (FNV-1a, 64 bits), in 16 hexadecimal digits.
    #[serde(borrow, default)]
    pub ids: Cow<'a, str>,
    /// The learning rate of the step.
    #[serde(default, with = "crate::float::option", skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// The last loss of the window. In the file it is its 64 bits in 16 hexadecimal digits.
    #[serde(default, with = "loss", skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The gradients' norm, if a callback computed it.
    #[serde(default, with = "crate::float::option", skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<f64>,
    /// A SHA-256 of parameters and buffers, at the steps at which that was asked for.
    #[serde(
        borrow,
        default,
        deserialize_with = "super::text::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub params: Option<Cow<'a, str>>,
}

impl JournalRow<'_> {
    /// The numbers that make curves over steps, by name.
    pub fn numbers(&self) -> [(&'static str, Option<f64>); 3] {
        [("loss", self.loss), ("lr", self.lr), ("grad_norm", self.grad_norm)]
    }
}

/// A number's 64 bits in 16 hexadecimal digits: text that compares exactly.
///
/// ```
/// use catena_record::formats::journal::{bits, of_bits};
///
/// assert_eq!(bits(1.5), "3ff8000000000000");
/// assert_eq!((of_bits("3ff8000000000000"), of_bits("1.5")), (Some(1.5), None));
/// ```
pub fn bits(number: f64) -> String {
    format!("{:016x}", number.to_bits())
}

/// The number of these bits; none if the text is none that [`bits`] makes.
pub fn of_bits(text: &str) -> Option<f64> {
    u64::from_str_radix(text, 16).ok().map(f64::from_bits)
}

mod loss {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{bits, of_bits};
    use crate::formats::text::Text;

    pub(super) fn serialize<S: Serializer>(number: &Option<f64>, writer: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => writer.serialize_str(&bits(*number)),
            None => writer.serialize_none(),
        }
    }

    /// Bits that can't be read are none, as the rest of the line may be good.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Text<'de>>::deserialize(reader)?.and_then(|text| of_bits(&text.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_lacks_what_an_older_version_did_not_write_is_read() {
        let row: JournalRow = serde_json::from_str(
            r#"{"global_batch":3,"global_step":2,"outcome":"skipped","of":"a later one"}"#,
        )
        .unwrap();
        assert_eq!((row.global_batch, row.outcome.as_deref()), (3, Some("skipped")));
        assert!(serde_json::from_str::<JournalRow>(r#"{"stage":"s","epoch":1,"global_step":2}"#).is_err());
    }

    #[test]
    fn every_loss_comes_back_bit_by_bit() {
        for loss in [f64::NAN, f64::NEG_INFINITY, -0.0, 5e-324, 0.1] {
            let row = JournalRow { loss: Some(loss), ..JournalRow::default() };
            let text = serde_json::to_string(&row).unwrap();
            let back: JournalRow = serde_json::from_str(&text).unwrap();
            assert_eq!(back.loss.map(f64::to_bits), Some(loss.to_bits()), "{text}");
        }
    }
}
