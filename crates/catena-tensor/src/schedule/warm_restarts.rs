//! Half a cosine down, again and again.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{AtLeast, Count};
use crate::settings::{Configured, Setting};

/// Half a cosine from `base_lr` to `eta_min` in `t_0` steps, then from `base_lr` again, `t_mult` times as long each time.
/// Source: `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts` (SGDR, Loshchilov and Hutter 2017).
///
/// Defaults are torch's: `t_mult` 1, `eta_min` 0.
///
/// ```
/// use catena_tensor::schedule::{CosineAnnealingWarmRestarts, Schedule};
///
/// let schedule = CosineAnnealingWarmRestarts::new(10).t_mult(2);
/// assert_eq!([0, 10, 30].map(|step| schedule.lr(0.1, step)), [0.1; 3]);
/// assert!((schedule.lr(0.1, 20) - 0.05).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineAnnealingWarmRestarts {
    t_0: u64,
    #[serde(default = "one")]
    t_mult: u64,
    #[serde(default)]
    eta_min: f64,
}

fn one() -> u64 {
    1
}

impl CosineAnnealingWarmRestarts {
    /// Down to 0 every `t_0` steps.
    pub fn new(t_0: u64) -> Self {
        Self { t_0, t_mult: one(), eta_min: 0.0 }
    }

    /// How many times as long the next cosine is (default 1).
    #[must_use]
    pub fn t_mult(mut self, t_mult: u64) -> Self {
        self.t_mult = t_mult;
        self
    }

    /// The lowest learning rate (default 0).
    #[must_use]
    pub fn eta_min(mut self, eta_min: f64) -> Self {
        self.eta_min = eta_min;
        self
    }

    /// The steps since the last restart, and how long this cosine is.
    fn turn(&self, counter: u64) -> (u64, u64) {
        let mut length = self.t_0.max(1);
        if self.t_mult <= 1 {
            return (counter % length, length);
        }
        let mut since = counter;
        while since >= length {
            since -= length;
            length = length.saturating_mul(self.t_mult);
        }
        (since, length)
    }
}

impl Configured for CosineAnnealingWarmRestarts {
    const NAME: &'static str = "cosine_annealing_warm_restarts";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("t_0", |s| Some(s.t_0), Count(1), "How many steps the first cosine lasts"),
        Setting::whole("t_mult", |s| Some(s.t_mult), Count(1), "How many times as long the next one is"),
        Setting::number("eta_min", |s| &mut s.eta_min, AtLeast(0.0), "The lowest learning rate"),
    ];
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let (since, length) = self.turn(counter);
        let turn = std::f64::consts::PI * since as f64 / length as f64;
        self.eta_min + (base_lr - self.eta_min) * (1.0 + turn.cos()) / 2.0
    }

    as_data!();
}
