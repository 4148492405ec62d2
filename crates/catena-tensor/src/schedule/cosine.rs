//! Half a cosine down.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{AtLeast, Count};
use crate::settings::{Configured, Setting};

/// Half a cosine from `base_lr` to `eta_min` in `t_max` steps; on after that it goes up again, as torch's does.
/// Source: `torch.optim.lr_scheduler.CosineAnnealingLR` (Loshchilov and Hutter 2017, without restarts).
///
/// ```
/// use catena_tensor::schedule::{CosineAnnealing, Schedule};
///
/// let schedule = CosineAnnealing::new(10).eta_min(0.01);
/// assert_eq!([0, 10].map(|step| schedule.lr(0.1, step)), [0.1, 0.01]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineAnnealing {
    t_max: u64,
    #[serde(default)]
    eta_min: f64,
}

impl CosineAnnealing {
    /// Down to 0 in `t_max` steps.
    pub fn new(t_max: u64) -> Self {
        Self { t_max, eta_min: 0.0 }
    }

    /// The lowest learning rate (default 0).
    #[must_use]
    pub fn eta_min(mut self, eta_min: f64) -> Self {
        self.eta_min = eta_min;
        self
    }
}

impl Configured for CosineAnnealing {
    const NAME: &'static str = "cosine_annealing";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("t_max", |s| Some(s.t_max), Count(1), "In how many steps it goes down"),
        Setting::number("eta_min", |s| &mut s.eta_min, AtLeast(0.0), "The lowest learning rate"),
    ];
}

impl Schedule for CosineAnnealing {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let turn = std::f64::consts::PI * counter as f64 / self.t_max as f64;
        self.eta_min + (base_lr - self.eta_min) * (1.0 + turn.cos()) / 2.0
    }

    fn total_steps(&self) -> Option<u64> {
        // the step after the way down may use the lowest value
        Some(self.t_max.saturating_add(1))
    }

    as_data!();
}
