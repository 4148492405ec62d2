//! One run at a time on a thread: a run inside a hook of another would seed the generators that the outer one draws from.
use std::cell::Cell;

use crate::{Error, Result};

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// Held by a run of this thread.
#[derive(Debug)]
#[must_use = "the run ends when it is dropped"]
pub(super) struct Alone;

impl Alone {
    /// Begins a run, or says [`Error::InsideRun`] if this thread is in one.
    pub(super) fn begin() -> Result<Self> {
        if RUNS.replace(true) { Err(Error::InsideRun) } else { Ok(Self) }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        RUNS.set(false);
    }
}
