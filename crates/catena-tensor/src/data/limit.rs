//! The first batches of another loader.
use super::{Loader, LoaderDescription, Position, Start};
use crate::batch::Batch;
use crate::error::{BoxError, Result};

/// The first batches of each epoch of another loader. Made by [`Loader::limit`].
///
/// ```
/// use catena_tensor::data::{Loader, TensorLoader};
/// use tch::{Device, Kind, Tensor};
///
/// let x = Tensor::zeros([100, 3], (Kind::Float, Device::Cpu));
/// let loader = TensorLoader::from_tensors([("input", x)], 10)?;
/// assert_eq!(loader.limit(2).batches(), Some(2));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Limited<L> {
    loader: L,
    limit: u64,
    given: u64,
}

impl<L: Loader> Limited<L> {
    pub(super) fn new(loader: L, limit: u64) -> Self {
        Self { loader, limit, given: 0 }
    }

    /// The other loader is told where it will be left, so that it reads nothing beyond.
    fn within<'a>(&self, start: Start<'a>) -> Start<'a> {
        Start { until: Some(start.until.map_or(self.limit, |until| until.min(self.limit))), ..start }
    }
}

impl<L: Loader> Loader for Limited<L> {
    fn batches(&self) -> Option<u64> {
        // without a known length the limit is only a bound
        self.loader.batches().map(|n| n.min(self.limit))
    }

    fn batches_of(&self, start: &Start) -> Option<u64> {
        self.loader.batches_of(&self.within(*start)).map(|n| n.min(self.limit))
    }

    fn start(&mut self, start: Start) -> Result<(), BoxError> {
        self.given = start.batch;
        self.loader.start(self.within(start))
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
        if self.given >= self.limit {
            return Ok(None);
        }
        self.given += 1;
        self.loader.next_batch()
    }

    fn position(&self) -> Option<Position> {
        self.loader.position()
    }

    fn leave(&mut self) {
        self.loader.leave();
    }

    fn check_settings(&self) -> Result<(), BoxError> {
        self.loader.check_settings()
    }

    /// The other loader's, with a `limit` if that leaves batches out.
    fn describe(&self) -> LoaderDescription {
        let inner = self.loader.describe();
        if self.loader.batches().is_some_and(|n| n <= self.limit) {
            inner
        } else {
            inner.set("limit", self.limit)
        }
    }
}
