//! What a data set is.
use std::sync::Arc;

use crate::draws::Draws;
use crate::sample::Sample;
use crate::slot::Slot;
use crate::{Result, Settings};

/// Samples by number. Worker threads ask for them side by side, so a data set is shared and never changed; what a sample draws comes
/// from [`Draws`], and is the same on any thread and after any resume.
///
/// ```
/// use catena_data::{Dataset, Draws, Result, Sample};
///
/// struct Squares;
///
/// impl Dataset for Squares {
///     fn len(&self) -> u64 {
///         10
///     }
///     fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
///         Ok(Sample::new().with("input", index as f32).with("target", (index * index) as f32))
///     }
/// }
/// ```
///
/// A `Tensor` can't be shared by threads, so none may be in it: keep the numbers as [`Array`](crate::Array) or `Vec`.
///
/// ```compile_fail,E0277
/// use catena_data::{Dataset, Draws, Result, Sample};
///
/// struct Rows {
///     tensor: tch::Tensor,
/// }
///
/// impl Dataset for Rows {
///     fn len(&self) -> u64 {
///         10
///     }
///     fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
///         Ok(Sample::new().with("input", self.tensor.double_value(&[index as i64])))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a data set",
    note = "implement `Dataset` with `len` and `get`, or make one of a closure with `from_fn(len, |index, draws| ...)`"
)]
pub trait Dataset
where
    Self: Send,
    Self: Sync,
{
    /// How many samples there are.
    fn len(&self) -> u64;

    /// The sample of this number, which is below [`Dataset::len`].
    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a sample straight into the batch, if the data set can; then no array is made for it. False if it can't, and [`Dataset::get`] is asked. What it writes must
    /// be what `get` gives. It must write every number of the slot.
    fn write(&self, index: u64, draws: &mut Draws, slot: &mut Slot) -> Result<bool> {
        let _ = (index, draws, slot);
        Ok(false)
    }

    /// What the data set says of itself, for the run's description: settings by name, such as its files, the names and parameters of what changes its samples, a
    /// `fingerprint`. A resume compares them and refuses others. By default nothing but its length is compared.
    fn describe(&self) -> Settings {
        Settings::new()
    }

    /// Where a sample comes from, for errors: a file's path, a line of a file.
    fn origin(&self, index: u64) -> Option<String> {
        let _ = index;
        None
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> u64 {
        (**self).len()
    }
    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        (**self).get(index, draws)
    }
    fn write(&self, index: u64, draws: &mut Draws, slot: &mut Slot) -> Result<bool> {
        (**self).write(index, draws, slot)
    }
    fn describe(&self) -> Settings {
        (**self).describe()
    }
    fn origin(&self, index: u64) -> Option<String> {
        (**self).origin(index)
    }
}

/// A data set of `len` samples that a closure makes.
///
/// ```
/// use catena_data::{Dataset, Draws, Sample, from_fn};
///
/// let even = from_fn(5, |index, _: &mut Draws| Ok(Sample::new().with("input", 2 * index as i64)));
/// assert_eq!(even.len(), 5);
/// ```
pub fn from_fn<F>(len: u64, get: F) -> FromFn<F>
where
    F: Fn(u64, &mut Draws) -> Result<Sample> + Send + Sync,
{
    FromFn { len, get, settings: Settings::new() }
}

/// A data set made by [`from_fn`].
#[derive(Clone)]
pub struct FromFn<F> {
    len: u64,
    get: F,
    settings: Settings,
}

impl<F> FromFn<F> {
    /// Says in the run's description that this setting has this value, so that a resume with another one is refused: a closure itself can't be compared.
    ///
    /// ```
    /// use catena_data::{Dataset, Draws, Sample, from_fn};
    ///
    /// let noise = 0.1;
    /// let noisy = from_fn(5, move |index, _: &mut Draws| Ok(Sample::new().with("input", index as f64 + noise)));
    /// assert_eq!(noisy.set("noise", noise).describe()["noise"], 0.1);
    /// ```
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }
}

impl<F> std::fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromFn").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<F> Dataset for FromFn<F>
where
    F: Fn(u64, &mut Draws) -> Result<Sample> + Send + Sync,
{
    fn len(&self) -> u64 {
        self.len
    }

    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        (self.get)(index, draws)
    }

    fn describe(&self) -> Settings {
        self.settings.clone()
    }
}
