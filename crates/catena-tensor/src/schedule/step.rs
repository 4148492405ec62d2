//! Down by a factor, again and again.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Schedule, at_least_0, require, written};
use crate::error::Result;

/// `base_lr`, times `gamma` after every `step_size` steps. Source: `torch.optim.lr_scheduler.StepLR`.
///
/// `gamma` is 0.1 by default.
///
/// ```
/// use catena_tensor::schedule::{Schedule, Step};
///
/// let schedule = Step::new(2).gamma(0.5);
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(1.0, step)), [1.0, 1.0, 0.5, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    step_size: u64,
    #[serde(default = "tenth")]
    gamma: f64,
}

impl Step {
    /// Times 0.1 after every `step_size` steps.
    pub fn new(step_size: u64) -> Self {
        Self { step_size, gamma: tenth() }
    }

    /// The factor (default 0.1).
    #[must_use]
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }
}

impl Schedule for Step {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        base_lr * self.gamma.powf((counter / self.step_size.max(1)) as f64)
    }

    fn check(&self) -> Result<()> {
        require(self.name(), "step_size", self.step_size, "at least 1", self.step_size > 0)?;
        at_least_0(self.name(), "gamma", self.gamma)
    }

    fn name(&self) -> &'static str {
        "step"
    }

    fn settings(&self) -> Value {
        written(self)
    }
}

pub(super) fn tenth() -> f64 {
    0.1
}
