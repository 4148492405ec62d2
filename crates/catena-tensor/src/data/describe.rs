//! What a loader says of itself, so that a run that goes on can tell whether it is the same.
use std::collections::BTreeMap;

use catena_record::float;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a loader says of itself: its kind, and by name whatever decides which batches it gives. What never changes a batch stays
/// out, such as how many threads prepare it.
///
/// A run stores it in `run.json` and in snapshots, and a resume compares it setting by setting. These names say which samples a
/// batch has, so that none of them can change in the middle of an epoch: `batches`, `rows`, `batch_size`, `shuffle`, `drop_last`,
/// `limit`, `order`. A `fingerprint` is compared where both runs have one.
///
/// ```
/// use catena_tensor::{BoxError, Result};
/// use catena_tensor::batch::Batch;
/// use catena_tensor::data::{Loader, LoaderDescription, Start};
///
/// struct Sentences {
///     length: u64,
/// }
///
/// impl Loader for Sentences {
///     fn batches(&self) -> Option<u64> {
///         None
///     }
///     fn start(&mut self, _: Start) -> Result<(), BoxError> {
///         Ok(())
///     }
///     fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
///         Ok(None)
///     }
///     fn describe(&self) -> LoaderDescription {
///         LoaderDescription::of::<Self>().set("length", self.length).set("fingerprint", "sentences of March")
///     }
/// }
///
/// let about = Sentences { length: 128 }.describe();
/// assert_eq!((about.kind(), about.get("length")), ("Sentences", Some(&128.into())));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoaderDescription {
    kind: String,
    #[serde(flatten)]
    settings: BTreeMap<String, Value>,
}

impl LoaderDescription {
    /// A loader of this type, whose name without path and parameters is the kind.
    pub fn of<L: ?Sized>() -> Self {
        let name = std::any::type_name::<L>();
        let name = name.split_once('<').map_or(name, |(head, _)| head);
        Self { kind: name.rsplit("::").next().unwrap_or(name).to_owned(), settings: BTreeMap::new() }
    }

    /// Adds a setting, in place of one of this name.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        // what can't be JSON is told by its error, which is the same in every run
        let value = float::to_value(&value).unwrap_or_else(|why| why.to_string().into());
        self.settings.insert(name.into(), value);
        self
    }

    /// The loader's kind: its type's name.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// A setting; none if it is not there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.settings.get(name)
    }

    /// The settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value))
    }
}
