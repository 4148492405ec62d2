//! A loader that costs nothing.
use catena::prelude::*;
use catena::tensor::data::Start;

/// Gives batches without tensors, so that nothing is left but the runner.
pub(crate) struct Nothing {
    batches: u64,
    given: u64,
}

impl Nothing {
    /// So many batches an epoch.
    pub(crate) fn new(batches: u64) -> Self {
        Self { batches, given: 0 }
    }
}

impl Loader for Nothing {
    fn batches(&self) -> Option<u64> {
        Some(self.batches)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.given = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.given += 1;
        Ok((self.given <= self.batches).then(Batch::default))
    }
}
