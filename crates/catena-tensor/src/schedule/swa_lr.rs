//! To a constant rate for averaging weights.
use serde::{Deserialize, Serialize};

use super::any::AnySchedule;
use super::one_cycle::AnnealStrategy;
use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::{AtLeast, Count};
use crate::settings::{Configured, Setting};

/// From the rate that is in force at `swa_start` to `swa_lr` in `anneal_epochs` steps of the counter, then constant.
/// Source: `torch.optim.swa_utils.SWALR` (Izmailov et al. 2018).
///
/// Until `swa_start` (default 0) the rate is that of `schedule`, or without one `base_lr`. torch's has neither: there it is the
/// program that steps another schedule first, `swa_start` times, and this one from then on. Its defaults are torch's:
/// `anneal_epochs` 10, `anneal_strategy` cos. Momentum stays as `schedule` leaves it.
///
/// ```
/// use catena_tensor::schedule::{AnnealStrategy, Exponential, Schedule, SwaLr};
///
/// let schedule = SwaLr::new(0.1).anneal_epochs(2).anneal_strategy(AnnealStrategy::Linear).after(Exponential::new(0.5), 1);
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(1.0, step)), [1.0, 0.5, 0.3, 0.1, 0.1]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwaLr {
    swa_lr: f64,
    #[serde(default = "ten")]
    anneal_epochs: u64,
    #[serde(default)]
    anneal_strategy: AnnealStrategy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<Box<AnySchedule>>,
    #[serde(default)]
    swa_start: u64,
}

fn ten() -> u64 {
    10
}

impl SwaLr {
    /// To this rate.
    pub fn new(swa_lr: f64) -> Self {
        Self {
            swa_lr,
            anneal_epochs: ten(),
            anneal_strategy: AnnealStrategy::Cos,
            schedule: None,
            swa_start: 0,
        }
    }

    /// How many steps of the counter the way takes (default 10).
    #[must_use]
    pub fn anneal_epochs(mut self, anneal_epochs: u64) -> Self {
        self.anneal_epochs = anneal_epochs;
        self
    }

    /// Along what it goes (default a cosine).
    #[must_use]
    pub fn anneal_strategy(mut self, anneal_strategy: AnnealStrategy) -> Self {
        self.anneal_strategy = anneal_strategy;
        self
    }

    /// Another schedule until the counter `swa_start`.
    #[must_use]
    pub fn after(mut self, schedule: impl Into<AnySchedule>, swa_start: u64) -> Self {
        (self.schedule, self.swa_start) = (Some(Box::new(schedule.into())), swa_start);
        self
    }
}

impl Configured for SwaLr {
    const NAME: &'static str = "swa";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::number("swa_lr", |s| &mut s.swa_lr, AtLeast(0.0), "The constant rate at the end"),
        Setting::whole(
            "anneal_epochs",
            |s| Some(s.anneal_epochs),
            Count(0),
            "How many steps the way there takes",
        ),
        Setting::one_of("anneal_strategy", &["cos", "linear"], "Along what it goes"),
        Setting::other("schedule", "a schedule, or null", "null", "Another schedule until swa_start"),
        Setting::whole(
            "swa_start",
            |s| Some(s.swa_start),
            Count(0),
            "The counter from which on it goes there",
        ),
    ];

    fn check_together(&self) -> Result<()> {
        self.schedule.as_ref().map_or(Ok(()), |schedule| schedule.check())
    }
}

impl Schedule for SwaLr {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let before = counter.min(self.swa_start);
        let before = self.schedule.as_ref().map_or(base_lr, |schedule| schedule.lr(base_lr, before));
        let since = counter.saturating_sub(self.swa_start);
        let share = match self.anneal_epochs {
            // torch's is there at once
            0 if counter >= self.swa_start => 1.0,
            0 => 0.0,
            anneal_epochs => (since as f64 / anneal_epochs as f64).min(1.0),
        };
        let share = match self.anneal_strategy {
            AnnealStrategy::Cos => (1.0 - (std::f64::consts::PI * share).cos()) / 2.0,
            AnnealStrategy::Linear => share,
        };
        self.swa_lr * share + before * (1.0 - share)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.schedule.as_ref().and_then(|schedule| schedule.momentum(counter.min(self.swa_start)))
    }

    as_data!();
}
