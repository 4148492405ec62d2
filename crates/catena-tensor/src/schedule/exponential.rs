//! Down by a factor at every step.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Schedule, at_least_0, written};
use crate::error::Result;

/// `base_lr` times `gamma` to the power of the counter. Source: `torch.optim.lr_scheduler.ExponentialLR`.
///
/// ```
/// use catena_tensor::schedule::{Exponential, Schedule};
///
/// let schedule = Exponential::new(0.5);
/// assert_eq!([0, 1, 2].map(|step| schedule.lr(1.0, step)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    gamma: f64,
}

impl Exponential {
    /// Times `gamma` at every step.
    pub fn new(gamma: f64) -> Self {
        Self { gamma }
    }
}

impl Schedule for Exponential {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        base_lr * self.gamma.powf(counter as f64)
    }

    fn check(&self) -> Result<()> {
        at_least_0(self.name(), "gamma", self.gamma)
    }

    fn name(&self) -> &'static str {
        "exponential"
    }

    fn settings(&self) -> Value {
        written(self)
    }
}
