//! `metrics.jsonl`: a line for each loader and epoch, and for each batch where that is asked for.
use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::text::Text;
use crate::float;

/// The file's name in the run directory.
pub const NAME: &str = "metrics.jsonl";

/// The `scope` of a line that is about a single batch.
pub const BATCH: &str = "batch";

/// A line of `metrics.jsonl`.
///
/// ```
/// use catena_record::formats::metrics::{Metric, MetricsRow};
///
/// let line = r#"{"stage":"train","epoch":1,"loader":"valid","global_step":45,"global_batch":45,"metrics":{"loss":0.5,"recall":[1.0,"nan"]}}"#;
/// let row: MetricsRow = serde_json::from_str(line)?;
/// assert!(!row.is_of_batch());
/// assert_eq!(row.metrics.0[0], ("loss".into(), Metric::Number(0.5)));
/// assert_eq!(serde_json::to_string(&row)?, line);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow<'a> {
    /// The stage's name; empty outside of stages.
    #[serde(borrow, default)]
    pub stage: Cow<'a, str>,
    /// The epoch in its stage, from 1; 0 outside of epochs.
    #[serde(default)]
    pub epoch: u64,
    /// The loader's name; empty outside of loaders.
    #[serde(borrow, default)]
    pub loader: Cow<'a, str>,
    /// [`BATCH`] for a line about a single batch; none for one about a whole loader.
    #[serde(
        borrow,
        default,
        deserialize_with = "super::text::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub scope: Option<Cow<'a, str>>,
    /// The batch's number in its loader, from 1, where the line is about a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// The run's steps so far.
    pub global_step: u64,
    /// The run's train batches so far.
    pub global_batch: u64,
    /// What was logged.
    #[serde(borrow)]
    pub metrics: Metrics<'a>,
}

impl MetricsRow<'_> {
    /// Whether the line is about a single batch.
    pub fn is_of_batch(&self) -> bool {
        self.scope.is_some()
    }
}

/// Metrics by name, in the order in which they were logged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics<'a>(pub Vec<(Cow<'a, str>, Metric<'a>)>);

/// What is logged under one name.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric<'a> {
    /// A number; in the file `"inf"`, `"-inf"` and `"nan"` stand for those that are not finite.
    Number(f64),
    /// Numbers in rows and columns that are to be written.
    Array(Array<'a>),
    /// Whatever else was read: an array is lists in lists.
    Json(Value),
}

/// Numbers of a shape. As JSON it is lists in lists.
///
/// ```
/// use catena_record::formats::metrics::Array;
///
/// let array = Array { shape: &[2, 2], values: &[3.0, 1.0, 0.0, f64::INFINITY] };
/// assert_eq!(serde_json::to_string(&array)?, r#"[[3.0,1.0],[0.0,"inf"]]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    /// How many there are along each dimension; empty for a single number.
    pub shape: &'a [usize],
    /// The numbers, row by row.
    pub values: &'a [f64],
}

impl<'a> Array<'a> {
    /// The parts along the first dimension.
    pub fn parts(self) -> impl ExactSizeIterator<Item = Self> {
        let (n, shape) = self.shape.split_first().map_or((0, self.shape), |(n, rest)| (*n, rest));
        let each = self.values.len().checked_div(n).unwrap_or(0);
        let values = move |i: usize| self.values.get(i * each..(i + 1) * each).unwrap_or_default();
        (0..n).map(move |i| Self { shape, values: values(i) })
    }
}

impl Serialize for Array<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.shape, self.values) {
            ([], [value, ..]) => float::serialize(value, serializer),
            _ => serializer.collect_seq(self.parts()),
        }
    }
}

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => float::serialize(number, serializer),
            Self::Array(array) => array.serialize(serializer),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // without a length, as serde_json writes the same either way
        let mut map = serializer.serialize_map(None)?;
        self.0.iter().try_for_each(|(name, metric)| map.serialize_entry(name, metric))?;
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Metrics<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, Metric<'de>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metrics by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut metrics = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, Value>()? {
                    metrics.push((name, float::number(&value).map_or(Metric::Json(value), Metric::Number)));
                }
                Ok(metrics)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_shape_are_lists_in_lists() {
        let json = |shape: &[usize], values: &[f64]| serde_json::to_string(&Array { shape, values }).unwrap();
        assert_eq!(json(&[], &[0.5]), "0.5");
        assert_eq!(json(&[2, 1, 2], &[0.0, 1.0, 2.0, f64::NAN]), r#"[[[0.0,1.0]],[[2.0,"nan"]]]"#);
        assert_eq!((json(&[0], &[]), json(&[2, 0], &[])), ("[]".into(), "[[],[]]".into()));
    }

    #[test]
    fn what_is_no_number_stays_what_it_is() {
        let text = r#"{"loader":"v","global_step":2,"global_batch":2,"metrics":{"b":"inf","a":null}}"#;
        let row: MetricsRow = serde_json::from_str(text).unwrap();
        let expected = [("b".into(), Metric::Number(f64::INFINITY)), ("a".into(), Metric::Json(Value::Null))];
        assert_eq!(row.metrics.0, expected);
        assert!(serde_json::from_str::<MetricsRow>(r#"{"global_step":2,"global_batch":2}"#).is_err());
    }
}
