//! Down by a factor at every step.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::AtLeast;
use crate::settings::{Configured, Setting};

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

impl Configured for Exponential {
    const NAME: &'static str = "exponential";
    const SETTINGS: &'static [Setting<Self>] =
        &[Setting::number("gamma", |s| &mut s.gamma, AtLeast(0.0), "The factor after every step")];
}

impl Schedule for Exponential {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        base_lr * self.gamma.powf(counter as f64)
    }

    as_data!();
}
