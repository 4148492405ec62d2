//! A sample: arrays by name.
use std::borrow::Cow;

use crate::Result;
use crate::array::Array;

/// What a data set gives for a number: arrays by name, in the order of insertion. Names are those of the batch's tensors.
///
/// ```
/// use catena_data::Sample;
///
/// let sample = Sample::new().with("input", vec![0.5_f32, 0.25]).with("target", 3_i64);
/// assert_eq!(sample.get("input")?.shape(), [2]);
/// assert_eq!(sample.get("inptu").unwrap_err().to_string(), "no array is named `inptu`; there are: input, target");
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    arrays: Vec<(Cow<'static, str>, Array)>,
}

impl Sample {
    /// Without an array.
    pub const fn new() -> Self {
        Self { arrays: Vec::new() }
    }

    /// Adds an array, in place of one of this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, array: impl Into<Array>) -> Self {
        self.insert(name, array);
        self
    }

    /// Adds an array, or replaces the one of this name and returns it.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, array: impl Into<Array>) -> Option<Array> {
        let (name, array) = (name.into(), array.into());
        match self.arrays.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => Some(std::mem::replace(old, array)),
            None => {
                self.arrays.push((name, array));
                None
            }
        }
    }

    /// The array of this name, or an error that lists the names that exist.
    pub fn get(&self, name: &str) -> Result<&Array> {
        match self.arrays.iter().find(|(other, _)| other == name) {
            Some((_, array)) => Ok(array),
            None => {
                let known: Vec<_> = self.arrays.iter().map(|(name, _)| &**name).collect();
                Err(format!("no array is named `{name}`; there are: {}", known.join(", ")).into())
            }
        }
    }

    /// Takes the array of this name out.
    pub fn remove(&mut self, name: &str) -> Option<Array> {
        let at = self.arrays.iter().position(|(other, _)| other == name)?;
        Some(self.arrays.remove(at).1)
    }

    /// How many arrays there are.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// Whether there is no array.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Cow<'static, str>, &Array)> {
        self.arrays.iter().map(|(name, array)| (name, array))
    }

    /// Names and arrays, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.arrays.iter().map(|(name, array)| (&**name, array))
    }
}
