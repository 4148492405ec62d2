//! Named tensors: what a loader gives and what a model returns.
use std::borrow::Cow;

use catena_native::tensor::rows;
use tch::{Device, Tensor};

use crate::error::{Error, Result};

/// The name of a batch's input when nothing else is said.
pub const INPUT: &str = "input";
/// The name of a batch's target when nothing else is said.
pub const TARGET: &str = "target";
/// The name of a model's output when nothing else is said.
pub const OUTPUT: &str = "output";

/// A small map from name to tensor that keeps the order of insertion.
///
/// ```
/// use catena_tensor::batch::NamedTensors;
/// use tch::Tensor;
///
/// let mut outputs = NamedTensors::from(Tensor::from(1.0));
/// outputs.insert("hidden", Tensor::from(2.0));
/// assert_eq!(outputs.names().collect::<Vec<_>>(), ["output", "hidden"]);
/// assert_eq!(outputs.get("hidden")?.double_value(&[]), 2.0);
/// assert_eq!(
///     outputs.get("hiden").unwrap_err().to_string(),
///     "no tensor is named `hiden`; there are: output, hidden",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct NamedTensors {
    pub(crate) entries: Vec<(Cow<'static, str>, Tensor)>,
}

/// What a model returns. A single tensor becomes `output`.
pub type Outputs = NamedTensors;

impl NamedTensors {
    /// None yet.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The tensor of this name, or an error that lists the names that exist.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.find(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// The tensor of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor)
    }

    /// Adds a tensor, or replaces the one of this name and returns it.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        match self.entries.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => Some(std::mem::replace(old, tensor)),
            None => {
                self.entries.push((name, tensor));
                None
            }
        }
    }

    /// The names, in order of insertion.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_ref())
    }

    /// Names and tensors, in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_ref(), tensor))
    }

    /// The tensors, to be changed in place.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.entries.iter_mut().map(|(_, tensor)| tensor)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets them all, and keeps the memory of the map.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl From<Tensor> for NamedTensors {
    fn from(output: Tensor) -> Self {
        Self { entries: vec![(Cow::Borrowed(OUTPUT), output)] }
    }
}

impl<const N: usize> From<[(&'static str, Tensor); N]> for NamedTensors {
    fn from(entries: [(&'static str, Tensor); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<S: Into<Cow<'static, str>>> FromIterator<(S, Tensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (S, Tensor)>>(entries: I) -> Self {
        let mut named = Self::new();
        for (name, tensor) in entries {
            named.insert(name, tensor);
        }
        named
    }
}

/// One batch: its tensors, which samples they are, and what the batch counts in a mean.
///
/// ```
/// use catena_tensor::batch::Batch;
/// use tch::{Device, Kind, Tensor};
///
/// let x = Tensor::zeros([32, 64], (Kind::Float, Device::Cpu));
/// let y = Tensor::zeros([32], (Kind::Int64, Device::Cpu));
/// let batch = Batch::new([("input", x), ("target", y)]);
/// assert_eq!(batch.weight, 32.0);
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    /// `input` and `target` when a loader has no other names.
    pub tensors: NamedTensors,
    /// The samples' numbers in their data set, if the loader knows them.
    pub ids: Vec<u64>,
    /// For each of the ids a number that tells the occurrences of one sample in an epoch from each other, for what is drawn by sample. Empty if no sample comes
    /// twice; then each is 0.
    pub occurrences: Vec<u32>,
    /// What the batch counts in a mean: its samples, or its tokens. A host number.
    pub weight: f64,
}

impl Batch {
    /// A batch of these tensors. Its weight is the first dimension of the first one (0 without any; 1 for a scalar).
    pub fn new(tensors: impl Into<NamedTensors>) -> Self {
        let tensors = tensors.into();
        let first = tensors.entries.first().map(|(_, t)| rows(t).unwrap_or(1));
        Self { weight: first.unwrap_or(0) as f64, tensors, ids: Vec::new(), occurrences: Vec::new() }
    }

    /// Sets what the batch counts in a mean.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the samples' numbers.
    #[must_use]
    pub fn ids(mut self, ids: Vec<u64>) -> Self {
        self.ids = ids;
        self
    }

    /// The tensor of this name, or an error that lists the names that exist.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name)
    }

    /// Each id with its occurrence.
    pub fn samples_drawn(&self) -> impl Iterator<Item = (u64, u32)> {
        let occurrences = self.occurrences.iter().copied().chain(std::iter::repeat(0));
        self.ids.iter().copied().zip(occurrences)
    }

    /// How many samples it holds: its ids, or without any the first dimension of its first tensor.
    pub fn samples(&self) -> u64 {
        let rows = || self.tensors.entries.first().and_then(|(_, t)| rows(t)).unwrap_or(0);
        if self.ids.is_empty() { rows().unsigned_abs() } else { self.ids.len() as u64 }
    }

    /// Moves the tensors that are elsewhere to `device`; from pinned memory without waiting for the copy.
    pub fn to_device(&mut self, device: Device) -> Result<()> {
        for tensor in self.tensors.tensors_mut().filter(|t| t.device() != device) {
            *tensor = tensor.f_to_device_(device, tensor.f_kind()?, true, false)?;
        }
        Ok(())
    }
}
