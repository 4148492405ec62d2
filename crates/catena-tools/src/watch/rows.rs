//! The lines of a run's files.
use std::borrow::Cow;
use std::fmt;

use chrono::DateTime;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A line of `journal.jsonl`.
#[derive(Debug, Deserialize)]
pub(crate) struct Step<'a> {
    #[serde(borrow)]
    pub(crate) stage: Cow<'a, str>,
    pub(crate) epoch: u64,
    pub(crate) global_batch: u64,
    pub(crate) global_step: u64,
    #[serde(default, with = "catena_record::float::option")]
    pub(crate) lr: Option<f64>,
    /// Its bits.
    #[serde(borrow, default)]
    loss: Option<Cow<'a, str>>,
    #[serde(default, with = "catena_record::float::option")]
    pub(crate) grad_norm: Option<f64>,
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Deserialize)]
pub(crate) struct Measured<'a> {
    #[serde(borrow)]
    pub(crate) stage: Cow<'a, str>,
    pub(crate) epoch: u64,
    #[serde(borrow)]
    pub(crate) loader: Cow<'a, str>,
    /// `batch`, or a whole loader.
    #[serde(borrow, default)]
    pub(crate) scope: Option<Cow<'a, str>>,
    pub(crate) global_step: u64,
    pub(crate) global_batch: u64,
    /// In the order in which they are written.
    pub(crate) metrics: Numbers,
}

/// Metrics that are numbers; others are left out.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) Vec<(String, f64)>);

/// A line of `timing.jsonl`.
#[derive(Debug, Deserialize)]
pub(crate) struct Timed {
    time: String,
    /// The name of the snapshot that was taken, or written.
    #[serde(default)]
    pub(crate) snapshot: Option<String>,
    /// How much of the run's time snapshots took so far.
    #[serde(default)]
    pub(crate) share: Option<f64>,
    #[serde(default)]
    pub(crate) throughput: Option<Throughput>,
}

/// What went through the run in a second.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Throughput {
    pub(crate) samples: Option<f64>,
    pub(crate) tokens: Option<f64>,
    pub(crate) batches: Option<f64>,
}

impl Step<'_> {
    pub(crate) fn loss(&self) -> Option<f64> {
        u64::from_str_radix(self.loss.as_deref()?, 16).ok().map(f64::from_bits)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metrics by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let number = catena_record::float::deserialize(value).ok();
                    numbers.extend(number.map(|number| (name, number)));
                }
                Ok(Numbers(numbers))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Timed {
    /// In seconds since 1970.
    pub(crate) fn time(&self) -> Option<f64> {
        seconds(&self.time)
    }
}

/// A time as catena writes it, in seconds since 1970.
pub(crate) fn seconds(time: &str) -> Option<f64> {
    DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp_micros() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_catena_writes_them() {
        let step: Step = serde_json::from_str(
            r#"{"stage":"s","epoch":1,"global_batch":2,"global_step":2,"ids":"00","lr":0.5,"loss":"3ff8000000000000","grad_norm":"nan"}"#,
        )
        .unwrap();
        assert_eq!((step.loss(), step.lr), (Some(1.5), Some(0.5)));
        assert!(step.grad_norm.unwrap().is_nan());
        let measured: Measured = serde_json::from_str(
            r#"{"stage":"s","epoch":1,"loader":"valid","global_step":2,"global_batch":2,"metrics":{"loss":"inf","auc":0.5,"n":null}}"#,
        )
        .unwrap();
        assert_eq!(measured.metrics.0, [("loss".to_owned(), f64::INFINITY), ("auc".to_owned(), 0.5)]);
        let timed: Timed =
            serde_json::from_str(r#"{"time":"1970-01-01T00:01:00.500Z","throughput":{"samples":10.0}}"#)
                .unwrap();
        assert_eq!(timed.time(), Some(60.5));
        assert_eq!(timed.throughput.unwrap().samples, Some(10.0));
    }
}
