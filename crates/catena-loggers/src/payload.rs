//! What can be logged.
use std::path::PathBuf;
use std::sync::Arc;

use catena_record::float;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::array::Array;
use crate::error::Result;
use crate::histogram::Histogram;
use crate::image::Image;

/// What is logged. A logger takes the kinds that it has a place for and ignores the others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the kinds say what their fields are")]
pub enum Payload {
    /// Metrics, without the loader's name, in the order of their first logging.
    Scalars(Scalars),
    /// Numbers in rows and columns, such as a confusion matrix. `Loggers` hand on those that metrics give.
    Array { name: String, array: Array },
    /// How numbers are distributed, such as a layer's weights.
    Histogram { name: String, histogram: Histogram },
    /// A picture, such as samples or a confusion matrix.
    Image { name: String, image: Image },
    /// A text, in Markdown where a logger shows that.
    Text { name: String, text: String },
    /// The run's hyper-parameters.
    Params(Params),
    /// A file, to be kept under this name (with `/` for folders). It is read later: don't change it meanwhile.
    Artifact { name: String, path: PathBuf },
}

/// Numbers by name.
///
/// ```
/// use catena_loggers::Scalars;
///
/// let scalars: Scalars = [("loss", 0.5), ("lr", 0.1)].into_iter().collect();
/// assert_eq!(scalars.iter().last(), Some(("lr", 0.1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scalars {
    names: Arc<[String]>,
    values: Vec<f64>,
}

impl Scalars {
    /// As many values as names.
    pub fn new(names: Arc<[String]>, values: Vec<f64>) -> Self {
        Self { names, values }
    }

    /// Each name with its value, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.names.iter().map(String::as_str).zip(self.values.iter().copied())
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Scalars {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(iter: I) -> Self {
        let (names, values): (Vec<String>, Vec<f64>) =
            iter.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        Self { names: names.into(), values }
    }
}

/// Hyper-parameters: plain values by name.
///
/// ```
/// use catena_loggers::Params;
/// use serde_json::json;
///
/// let params = Params::of(&json!({ "epochs": 3, "optimizer": { "name": "sgd", "betas": [0.9, 0.99] } }))?;
/// let names: Vec<&str> = params.iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["epochs", "optimizer.betas", "optimizer.name"]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Params(Vec<(String, Json)>);

impl Params {
    /// From anything with fields; the names of fields in fields are joined by dots. Floats that are not finite are `"inf"`, `"-inf"`
    /// and `"nan"`.
    pub fn of(params: &impl Serialize) -> Result<Self> {
        let mut flat = Vec::new();
        match float::to_value(params)? {
            Json::Object(fields) => {
                fields.into_iter().for_each(|(name, value)| flatten(name, value, &mut flat))
            }
            other => return Err(format!("they must have fields, but are {other}").into()),
        }
        Ok(Self(flat))
    }

    /// Each name with its value: a string, a number, a boolean, null or a list.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

fn flatten(name: String, value: Json, flat: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            fields.into_iter().for_each(|(field, value)| flatten(format!("{name}.{field}"), value, flat));
        }
        value => flat.push((name, value)),
    }
}
