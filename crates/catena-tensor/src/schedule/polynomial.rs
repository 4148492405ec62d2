//! Down to 0 along a power of the steps left.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{AtLeast, Count};
use crate::settings::{Configured, Setting};

/// `base_lr * (1 - counter / total_iters)^power`, then 0. Source: `torch.optim.lr_scheduler.PolynomialLR`.
///
/// Defaults are torch's: `total_iters` 5, `power` 1.
///
/// ```
/// use catena_tensor::schedule::{Polynomial, Schedule};
///
/// let schedule = Polynomial::new().total_iters(4).power(2.0);
/// assert_eq!([0, 2, 4, 5].map(|step| schedule.lr(1.0, step)), [1.0, 0.25, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    total_iters: u64,
    power: f64,
}

impl Default for Polynomial {
    fn default() -> Self {
        Self { total_iters: 5, power: 1.0 }
    }
}

impl Polynomial {
    /// With torch's defaults: a line to 0 in 5 steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// After how many steps 0 is reached (default 5).
    #[must_use]
    pub fn total_iters(mut self, total_iters: u64) -> Self {
        self.total_iters = total_iters;
        self
    }

    /// The power (default 1).
    #[must_use]
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }
}

impl Configured for Polynomial {
    const NAME: &'static str = "polynomial";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("total_iters", |s| Some(s.total_iters), Count(1), "In how many steps it gets to 0"),
        Setting::number("power", |s| &mut s.power, AtLeast(0.0), "The power of the share that is left"),
    ];
}

impl Schedule for Polynomial {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let total = self.total_iters.max(1);
        base_lr * (1.0 - counter.min(total) as f64 / total as f64).powf(self.power)
    }

    fn total_steps(&self) -> Option<u64> {
        // the step after the way down may use the 0 to which it leads
        Some(self.total_iters.saturating_add(1))
    }

    as_data!();
}
