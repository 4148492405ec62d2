//! Loaders: where batches come from.
//!
//! A loader is told where it starts, by [`Start`], and gives batches until it has none. The same start gives the same
//! batches in any process, whatever ran before: that is what makes a resumed run exact.
mod check;
mod describe;
pub mod draws;
mod limit;
pub mod order;
mod tensors;

pub use check::check_loader;
pub use describe::LoaderDescription;
pub use limit::Limited;
pub use tensors::TensorLoader;

use crate::batch::Batch;
use crate::error::{BoxError, Result};

/// Where a pass over a loader starts, and the seed that its order is a function of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The run's seed.
    pub seed: u64,
    /// The stage's number, from 0.
    pub stage: u64,
    /// The epoch in its stage, from 1.
    pub epoch: u64,
    /// How many batches of the epoch to pass over: 0, or where a stopped run goes on.
    pub batch: u64,
}

/// Gives an epoch's batches, one after the other. [`check_loader`] tries whether one of your own keeps what is promised here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a loader",
    note = "tensors in memory become a loader with `TensorLoader::new(inputs, targets, batch_size)`"
)]
pub trait Loader {
    /// How many batches an epoch has, if that is known beforehand.
    fn batches(&self) -> Option<u64>;

    /// Begins an epoch, at its beginning or at a batch in it.
    fn start(&mut self, start: Start) -> Result<(), BoxError>;

    /// The next batch, or none at the end of the epoch.
    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError>;

    /// What it says of itself: what decides which batches it gives. A run that goes on from a snapshot compares it, and refuses
    /// another one. By default it is the type's name and [`Loader::batches`].
    ///
    /// A loader that wraps another one should hand on what that says; a loader of data that may change should add a `fingerprint`.
    fn describe(&self) -> LoaderDescription {
        LoaderDescription::of::<Self>().set("batches", self.batches())
    }

    /// The first `n` batches of each epoch, for a dry run.
    fn limit(self, n: u64) -> Limited<Self>
    where
        Self: Sized,
    {
        Limited::new(self, n)
    }
}

impl<L: Loader + ?Sized> Loader for Box<L> {
    fn batches(&self) -> Option<u64> {
        (**self).batches()
    }
    fn start(&mut self, start: Start) -> Result<(), BoxError> {
        (**self).start(start)
    }
    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
        (**self).next_batch()
    }
    fn describe(&self) -> LoaderDescription {
        (**self).describe()
    }
}
