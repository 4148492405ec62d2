//! Looking does not change the run.
use catena_tensor::rng::Generators;
use catena_tensor::tch;

use crate::error::RunResult as Result;

/// Without gradients, and with the generators put back afterwards: looking does not change the run.
pub(super) struct Quiet {
    generators: Generators,
    _no_grad: tch::NoGradGuard,
}

impl Quiet {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { generators: Generators::keep()?, _no_grad: tch::no_grad_guard() })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Err(error) = self.generators.put_back() {
            log::error!("torch's generators could not be put back after an evaluation: {error}");
        }
    }
}
