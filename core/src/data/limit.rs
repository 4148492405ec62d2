//! The first batches of another loader.
use super::{Loader, Start};
use crate::Result;
use crate::batch::Batch;

/// The first batches of each epoch of another loader. Made by [`Loader::limit`].
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
}

impl<L: Loader> Loader for Limited<L> {
    fn batches(&self) -> Option<u64> {
        // without a known length the limit is only a bound
        self.loader.batches().map(|n| n.min(self.limit))
    }

    fn start(&mut self, start: Start) -> Result<()> {
        self.given = start.batch;
        self.loader.start(start)
    }

    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if self.given >= self.limit {
            return Ok(None);
        }
        self.given += 1;
        self.loader.next_batch()
    }
}
