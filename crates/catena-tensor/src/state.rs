//! What a callback or a metric keeps over a resume.
use catena_record::float;
use catena_record::logs::Marks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::Tensor;

use crate::error::BoxError;

/// A callback's state as data: JSON, and tensors by name.
///
/// ```
/// use catena_tensor::state::State;
///
/// let state = State::of(&(3u64, 0.5))?;
/// assert_eq!(state.read::<(u64, f64)>()?, (3, 0.5));
/// assert!(State::none().is_none());
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Debug, Default)]
pub struct State {
    /// The part that is JSON; null for none.
    pub json: Value,
    /// The part that is tensors.
    pub tensors: Vec<(String, Tensor)>,
    /// The logs in the run directory that it goes on with, and how far each went. The runner makes them durable before the snapshot; a resume
    /// is refused if one of them is another than it was, unless that is allowed: then it is not in the state that is loaded, and is begun anew.
    pub logs: Marks,
}

impl State {
    /// Nothing has to be kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// State that is JSON; floats that are not finite are kept too, and read back by [`State::read`]. Destructure `self` exhaustively where you make it, so that a new field does not compile until it
    /// is kept (or left out on purpose).
    pub fn of(value: &impl Serialize) -> Result<Self, BoxError> {
        Ok(Self::json(float::to_value(value)?))
    }

    /// State that is JSON, made already.
    pub fn json(json: Value) -> Self {
        Self { json, ..Self::default() }
    }

    /// Adds a tensor.
    #[must_use]
    pub fn tensor(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.tensors.push((name.into(), tensor));
        self
    }

    /// The same state once more; the tensors are shared.
    #[must_use]
    pub fn shared(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        Self { json: self.json.clone(), tensors: tensors.collect(), logs: self.logs.clone() }
    }

    /// The JSON part as a value.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, BoxError> {
        Ok(float::from_value(&self.json)?)
    }

    /// Whether there is nothing in it.
    pub fn is_none(&self) -> bool {
        self.json.is_null() && self.tensors.is_empty() && self.logs.is_empty()
    }
}
