//! Loaders: where batches come from.
//!
//! A loader is told where it starts, by [`Start`], and gives batches until it has none. The same start gives the same
//! batches in any process, whatever ran before: that is what makes a resumed run exact.
mod check;
mod describe;
pub mod draws;
mod limit;
pub mod order;
mod position;
mod sample_error;
mod start;
mod tensors;

pub use check::check_loader;
pub use describe::LoaderDescription;
pub use limit::Limited;
pub use position::{Position, PositionValue};
pub use sample_error::SampleError;
pub use start::Start;
pub use tensors::TensorLoader;

use crate::batch::Batch;
use crate::error::{BoxError, Result};

/// Gives an epoch's batches, one after the other. [`check_loader`] tries whether one of your own keeps what is promised here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a loader",
    note = "tensors in memory become a loader with `TensorLoader::new(inputs, targets, batch_size)`"
)]
pub trait Loader {
    /// How many batches an epoch has, if that is known beforehand and the same for each.
    fn batches(&self) -> Option<u64>;

    /// How many batches the epoch of this start has, those that it passes over included; by default [`Loader::batches`]. A loader whose epochs differ answers
    /// here. It is asked before [`Loader::start`].
    fn batches_of(&self, start: &Start) -> Option<u64> {
        let _ = start;
        self.batches()
    }

    /// Begins an epoch, at its beginning or at a batch in it.
    fn start(&mut self, start: Start) -> Result<(), BoxError>;

    /// The next batch, or none at the end of the epoch.
    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError>;

    /// Where it is after the batch that it gave last, if the number of that batch is not enough to go on from. A snapshot keeps it, and
    /// [`Start::position`] gives it back. By default there is none.
    fn position(&self) -> Option<Position> {
        None
    }

    /// Nobody wants more of this epoch: its pass was left at a stop, a limit or an error, or the stage has ended. What was read ahead is given up, and threads end.
    /// It may be started again.
    fn leave(&mut self) {}

    /// What is wrong with its settings, found before a run begins. By default nothing.
    fn check_settings(&self) -> Result<(), BoxError> {
        Ok(())
    }

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
    fn batches_of(&self, start: &Start) -> Option<u64> {
        (**self).batches_of(start)
    }
    fn next_batch(&mut self) -> Result<Option<Batch>, BoxError> {
        (**self).next_batch()
    }
    fn position(&self) -> Option<Position> {
        (**self).position()
    }
    fn leave(&mut self) {
        (**self).leave();
    }
    fn check_settings(&self) -> Result<(), BoxError> {
        (**self).check_settings()
    }
    fn describe(&self) -> LoaderDescription {
        (**self).describe()
    }
}
