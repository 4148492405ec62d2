//! Several schedules at once.
use serde::{Deserialize, Serialize};

use super::any::AnySchedule;
use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::Count;
use crate::settings::{Configured, Setting, require};

/// Every schedule starts from the rate that the one before it gives, so their factors multiply; the last that moves momentum
/// sets it. Source: `torch.optim.lr_scheduler.ChainedScheduler`.
///
/// Equal to torch for schedules that are factors of `base_lr` (constant, linear, step, multi-step, exponential, polynomial,
/// multiplicative, cosine with `eta_min` 0). The others differ: torch's go on from the rate of the step before, which makes
/// them forget the schedules before them or bend `eta_min`; here `eta_min` holds, and a schedule that replaces the
/// optimizer's rate (one-cycle, cyclic) belongs in the first place.
///
/// ```
/// use catena_tensor::schedule::{Chained, Constant, Exponential, Schedule};
///
/// let schedule = Chained::new(vec![Constant::new(0.1, 20).into(), Exponential::new(0.9).into()]);
/// assert!((schedule.lr(0.5, 1) - 0.5 * 0.1 * 0.9).abs() < 1e-15);
/// assert!((schedule.lr(0.5, 20) - 0.5 * 0.9f64.powi(20)).abs() < 1e-15);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chained {
    schedulers: Vec<AnySchedule>,
}

impl Chained {
    /// These schedules at once.
    pub fn new(schedulers: impl Into<Vec<AnySchedule>>) -> Self {
        Self { schedulers: schedulers.into() }
    }
}

impl Configured for Chained {
    const NAME: &'static str = "chained";
    const SETTINGS: &'static [Setting<Self>] =
        &[Setting::other("schedulers", "a list of schedules", "[]", "The schedules at once")];

    fn check_together(&self) -> Result<()> {
        let count = self.schedulers.len();
        require(Self::NAME, "schedulers", format!("{count} schedules"), Count(1), count > 0)?;
        self.schedulers.iter().try_for_each(Schedule::check)
    }
}

impl Schedule for Chained {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        self.schedulers.iter().fold(base_lr, |lr, schedule| schedule.lr(lr, counter))
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.schedulers.iter().rev().find_map(|schedule| schedule.momentum(counter))
    }

    fn total_steps(&self) -> Option<u64> {
        self.schedulers.iter().filter_map(Schedule::total_steps).min()
    }

    as_data!();
}
