//! A factor for the first steps, then none.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Schedule, in_range, written};
use crate::error::Result;

/// `base_lr * factor` for the first `total_iters` steps, then `base_lr`. Source: `torch.optim.lr_scheduler.ConstantLR`,
/// with whom 0 steps mean that the factor stays.
///
/// ```
/// use catena_tensor::schedule::{Constant, Schedule};
///
/// let schedule = Constant::new(0.5, 2);
/// assert_eq!([0, 1, 2].map(|step| schedule.lr(1.0, step)), [0.5, 0.5, 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    factor: f64,
    total_iters: u64,
}

impl Default for Constant {
    fn default() -> Self {
        Self { factor: 1.0 / 3.0, total_iters: 5 }
    }
}

impl Constant {
    /// This factor (torch's default 1/3) for this many steps (torch's default 5).
    pub fn new(factor: f64, total_iters: u64) -> Self {
        Self { factor, total_iters }
    }
}

impl Schedule for Constant {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        if counter < self.total_iters || self.total_iters == 0 { base_lr * self.factor } else { base_lr }
    }

    fn check(&self) -> Result<()> {
        in_range(self.name(), "factor", self.factor, 0.0..=1.0)
    }

    fn name(&self) -> &'static str {
        "constant"
    }

    fn settings(&self) -> Value {
        written(self)
    }
}
