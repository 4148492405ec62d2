//! A warm-up before any schedule.
use serde::{Deserialize, Serialize};

use super::any::AnySchedule;
use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::{Closed, Count};
use crate::settings::{Configured, Setting};

/// Along a line from `start_factor` times the first learning rate of another schedule to that rate, in `warmup_steps` steps;
/// then the other schedule, from its own counter 0. Its momentum is meanwhile the one of its counter 0.
///
/// Where the other schedule begins at `base_lr`, this is torch's
/// `SequentialLR([LinearLR(start_factor, total_iters=warmup_steps), other], milestones=[warmup_steps])`; where it begins
/// elsewhere (as one-cycle does), the warm-up leads there without a jump. `start_factor` is 1/3 by default, as in
/// `torch.optim.lr_scheduler.LinearLR`.
///
/// ```
/// use catena_tensor::schedule::{CosineAnnealing, Schedule, Warmup};
///
/// let schedule = Warmup::new(CosineAnnealing::new(100), 4).start_factor(0.0);
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(0.4, step)), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]);
/// assert_eq!(schedule.lr(0.4, 104), 0.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    schedule: Box<AnySchedule>,
    warmup_steps: u64,
    #[serde(default = "third")]
    start_factor: f64,
}

fn third() -> f64 {
    1.0 / 3.0
}

impl Warmup {
    /// This many steps before this schedule.
    pub fn new(schedule: impl Into<AnySchedule>, warmup_steps: u64) -> Self {
        Self { schedule: Box::new(schedule.into()), warmup_steps, start_factor: third() }
    }

    /// The factor of the first step (default 1/3).
    #[must_use]
    pub fn start_factor(mut self, start_factor: f64) -> Self {
        self.start_factor = start_factor;
        self
    }
}

impl Configured for Warmup {
    const NAME: &'static str = "warmup";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::other("schedule", "a schedule", r#"{"name": "constant"}"#, "What comes after the warm-up"),
        Setting::whole("warmup_steps", |s| Some(s.warmup_steps), Count(1), "How many steps it goes up"),
        Setting::number("start_factor", |s| &mut s.start_factor, Closed(0.0, 1.0), "The first step's factor"),
    ];

    fn check_together(&self) -> Result<()> {
        self.schedule.check()
    }
}

impl Schedule for Warmup {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        if counter >= self.warmup_steps {
            return self.schedule.lr(base_lr, counter - self.warmup_steps);
        }
        let share = counter as f64 / self.warmup_steps as f64;
        self.schedule.lr(base_lr, 0) * (self.start_factor + (1.0 - self.start_factor) * share)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.schedule.momentum(counter.saturating_sub(self.warmup_steps))
    }

    fn total_steps(&self) -> Option<u64> {
        Some(self.warmup_steps.saturating_add(self.schedule.total_steps()?))
    }

    as_data!();
}
