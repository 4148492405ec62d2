//! One run at a time on a thread: a run inside a hook of another would seed the generators that the outer one draws from.
use std::cell::Cell;

use catena_tensor::panics::Quiet;

use crate::error::Error;
use crate::error::RunResult as Result;

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// Held by a run of this thread.
#[derive(Debug)]
#[must_use = "the run ends when it is dropped"]
pub(super) struct Alone {
    /// What panics while it runs becomes an error, and prints nothing.
    _quiet: Option<Quiet>,
}

impl Alone {
    /// Begins a run, or says [`Error::InsideRun`] if this thread is in one.
    pub(super) fn begin(panic_output: bool) -> Result<Self> {
        if RUNS.replace(true) {
            return Err(Error::InsideRun);
        }
        tell_of_threads();
        Ok(Self { _quiet: (!panic_output).then(Quiet::begin) })
    }
}

/// More threads than cores wait for each other, and a step takes up to 50 times as long.
fn tell_of_threads() {
    let threads = catena_tensor::tch::get_num_threads();
    let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    if usize::try_from(threads).is_ok_and(|threads| threads > cores) {
        log::warn!(
            "torch has {threads} threads, but this process may use {cores} cores: threads that wait for each other are slow; set OMP_NUM_THREADS or \
             `tch::set_num_threads`"
        );
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        RUNS.set(false);
    }
}
