//! What a data set is.
use crate::{Draws, Result, Sample};

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
pub trait Dataset: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> u64;

    /// The sample of this number, which is below [`Dataset::len`].
    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a sample comes from, for errors: a file's path, a line of a file.
    fn origin(&self, index: u64) -> Option<String> {
        let _ = index;
        None
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
    FromFn { len, get }
}

/// A data set made by [`from_fn`].
#[derive(Clone)]
pub struct FromFn<F> {
    len: u64,
    get: F,
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
}
