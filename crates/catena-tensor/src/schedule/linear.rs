//! A line between two factors.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{Closed, Count, OpenClosed};
use crate::settings::{Configured, Setting};

/// `base_lr` times a factor that goes along a line from `start_factor` to `end_factor` in `total_iters` steps, then stays.
/// Source: `torch.optim.lr_scheduler.LinearLR`.
///
/// Defaults are torch's: `start_factor` 1/3, `end_factor` 1, `total_iters` 5.
///
/// ```
/// use catena_tensor::schedule::{Linear, Schedule};
///
/// let warmup = Linear::new().start_factor(0.5).total_iters(2);
/// assert_eq!([0, 1, 2, 3].map(|step| warmup.lr(1.0, step)), [0.5, 0.75, 1.0, 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    start_factor: f64,
    end_factor: f64,
    total_iters: u64,
}

impl Default for Linear {
    fn default() -> Self {
        Self { start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters: 5 }
    }
}

impl Linear {
    /// With torch's defaults: from 1/3 to 1 in 5 steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// The factor of the first step (default 1/3).
    #[must_use]
    pub fn start_factor(mut self, start_factor: f64) -> Self {
        self.start_factor = start_factor;
        self
    }

    /// The factor in the end (default 1).
    #[must_use]
    pub fn end_factor(mut self, end_factor: f64) -> Self {
        self.end_factor = end_factor;
        self
    }

    /// After how many steps `end_factor` is reached (default 5).
    #[must_use]
    pub fn total_iters(mut self, total_iters: u64) -> Self {
        self.total_iters = total_iters;
        self
    }
}

impl Configured for Linear {
    const NAME: &'static str = "linear";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::number(
            "start_factor",
            |s| &mut s.start_factor,
            OpenClosed(0.0, 1.0),
            "The first step's factor",
        ),
        Setting::number("end_factor", |s| &mut s.end_factor, Closed(0.0, 1.0), "The factor at the end"),
        Setting::whole("total_iters", |s| Some(s.total_iters), Count(1), "In how many steps it gets there"),
    ];
}

impl Schedule for Linear {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        if counter >= self.total_iters {
            return base_lr * self.end_factor;
        }
        let share = counter as f64 / self.total_iters as f64;
        base_lr * (self.start_factor + (self.end_factor - self.start_factor) * share)
    }

    fn total_steps(&self) -> Option<u64> {
        // a way up leads to where the optimizer trains on
        (self.end_factor < self.start_factor).then(|| self.total_iters.saturating_add(1))
    }

    as_data!();
}
