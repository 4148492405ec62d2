//! One schedule after the other.
use serde::{Deserialize, Serialize};

use super::any::AnySchedule;
use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::Count;
use crate::settings::{Configured, Setting, require};

/// The first schedule until the first milestone, then the second from its own counter 0, and so on.
/// Source: `torch.optim.lr_scheduler.SequentialLR`.
///
/// Every schedule starts from the optimizer's own rate. Where one doesn't move momentum, it is what the last one before that
/// does left; before any does, it is what the first of them starts with.
///
/// ```
/// use catena_tensor::schedule::{Constant, Exponential, Schedule, Sequential};
///
/// let schedule = Sequential::new(vec![Constant::new(0.1, 20).into(), Exponential::new(0.9).into()], [20]);
/// assert_eq!([0, 19, 20, 21].map(|step| schedule.lr(1.0, step)), [0.1, 0.1, 1.0, 0.9]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    schedulers: Vec<AnySchedule>,
    milestones: Vec<u64>,
}

impl Sequential {
    /// The schedules, and the counters at which the second, the third, … begins.
    pub fn new(schedulers: impl Into<Vec<AnySchedule>>, milestones: impl Into<Vec<u64>>) -> Self {
        Self { schedulers: schedulers.into(), milestones: milestones.into() }
    }

    /// Which schedule is on.
    fn index(&self, counter: u64) -> usize {
        self.milestones.partition_point(|&milestone| milestone <= counter)
    }

    /// When the schedule begins.
    fn start(&self, index: usize) -> u64 {
        index.checked_sub(1).and_then(|before| self.milestones.get(before)).copied().unwrap_or(0)
    }
}

impl Configured for Sequential {
    const NAME: &'static str = "sequential";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::other("schedulers", "a list of schedules", "[]", "The schedules, one after another"),
        Setting::other(
            "milestones",
            "a list of whole numbers",
            "[]",
            "The counters at which the next one begins",
        ),
    ];

    fn check_together(&self) -> Result<()> {
        let count = self.schedulers.len();
        require(Self::NAME, "schedulers", format!("{count} schedules"), Count(1), count > 0)?;
        let milestones = format!("{:?}", self.milestones);
        let fewer = format!("one fewer than the schedulers: {}", count - 1);
        require(Self::NAME, "milestones", &milestones, fewer, self.milestones.len() + 1 == count)?;
        require(Self::NAME, "milestones", &milestones, "in ascending order", self.milestones.is_sorted())?;
        self.schedulers.iter().try_for_each(Schedule::check)
    }
}

impl Schedule for Sequential {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let index = self.index(counter);
        let local = counter.saturating_sub(self.start(index));
        self.schedulers.get(index).map_or(base_lr, |schedule| schedule.lr(base_lr, local))
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        let index = self.index(counter);
        let so_far = (0..=index).rev().find_map(|i| {
            // an earlier schedule's last counter is the one before the next one's first
            let at = if i == index { counter } else { self.start(i + 1).checked_sub(1)? };
            self.schedulers.get(i)?.momentum(at.checked_sub(self.start(i))?)
        });
        so_far.or_else(|| self.schedulers.iter().skip(index + 1).find_map(|schedule| schedule.momentum(0)))
    }

    fn total_steps(&self) -> Option<u64> {
        let last = self.schedulers.len().checked_sub(1)?;
        Some(self.start(last).saturating_add(self.schedulers[last].total_steps()?))
    }

    as_data!();
}
