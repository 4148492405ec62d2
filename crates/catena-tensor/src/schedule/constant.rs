//! A factor for the first steps, then none.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{Closed, Count};
use crate::settings::{Configured, Setting};

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

impl Configured for Constant {
    const NAME: &'static str = "constant";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::number("factor", |s| &mut s.factor, Closed(0.0, 1.0), "The factor of the first steps"),
        Setting::whole("total_iters", |s| Some(s.total_iters), Count(0), "How many steps those are; 0: all"),
    ];
}

impl Schedule for Constant {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        if counter < self.total_iters || self.total_iters == 0 { base_lr * self.factor } else { base_lr }
    }

    as_data!();
}
