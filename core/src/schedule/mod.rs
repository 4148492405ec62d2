//! Schedules: learning rates (and momentum) as pure functions of a counter.
//!
//! Names and arguments are those of `torch.optim.lr_scheduler`. Counter 0 is the first step.
mod constant;
mod cosine;
mod one_cycle;

pub use constant::Constant;
pub use cosine::CosineAnnealing;
pub use one_cycle::{AnnealStrategy, OneCycle};

use crate::{Error, Result};

/// From a counter to a learning rate.
///
/// ```
/// use catena_tensor::schedule::{CosineAnnealing, Schedule};
///
/// let cosine = CosineAnnealing::new(100);
/// assert_eq!(cosine.lr(0.1, 0), 0.1);
/// assert!((cosine.lr(0.1, 50) - 0.05).abs() < 1e-12);
/// ```
pub trait Schedule: std::fmt::Debug {
    /// The learning rate at `counter` (the first step has counter 0) of a group that was made with `base_lr`.
    fn lr(&self, base_lr: f64, counter: u64) -> f64;

    /// The momentum (SGD) or first beta (Adam and its kin) at `counter`, if the schedule moves it.
    fn momentum(&self, counter: u64) -> Option<f64> {
        let _ = counter;
        None
    }

    /// Whether every setting is in its range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The name, as in torch in snake case without `LR`.
    fn name(&self) -> &'static str;
}

pub(crate) fn require(
    of: &str,
    name: &str,
    got: impl ToString,
    allowed: &str,
    is_allowed: bool,
) -> Result<()> {
    if is_allowed {
        return Ok(());
    }
    Err(Error::Setting { of: of.into(), name: name.into(), got: got.to_string(), allowed: allowed.into() })
}
