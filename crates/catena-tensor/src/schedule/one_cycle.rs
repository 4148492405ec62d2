//! Up, down, and far down.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::{Above, Closed, ClosedOpen, Count};
use crate::settings::{Configured, Setting, require};

/// How [`OneCycle`] goes from one value to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnealStrategy {
    /// Along half a cosine.
    #[default]
    Cos,
    /// Along a line.
    Linear,
}

/// Up to `max_lr`, down to where it began and far below, in `total_steps` steps; momentum goes the other way.
/// Source: `torch.optim.lr_scheduler.OneCycleLR` (Smith and Topin 2018).
///
/// It replaces the optimizer's own learning rate. In a file, `epochs` and `steps_per_epoch` may stand for `total_steps`, which
/// goes before them; there must be enough of them for a way up of more than one step. Other defaults are torch's: `pct_start` 0.3, `anneal_strategy` cos,
/// `cycle_momentum` true, `base_momentum` 0.85, `max_momentum` 0.95, `div_factor` 25, `final_div_factor` 1e4, `three_phase`
/// false. torch refuses steps past `total_steps`; here the last value stays.
///
/// ```
/// use catena_tensor::schedule::{OneCycle, Schedule};
///
/// let schedule = OneCycle::new(1.0, 100);
/// assert!((schedule.lr(0.0, 0) - 1.0 / 25.0).abs() < 1e-12);
/// assert_eq!(schedule.lr(0.0, 29), 1.0);
/// assert_eq!(schedule.momentum(29), Some(0.85));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycle {
    max_lr: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_steps: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epochs: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps_per_epoch: Option<u64>,
    #[serde(default = "defaults::pct_start")]
    pct_start: f64,
    #[serde(default)]
    anneal_strategy: AnnealStrategy,
    #[serde(default = "defaults::cycle_momentum")]
    cycle_momentum: bool,
    #[serde(default = "defaults::base_momentum")]
    base_momentum: f64,
    #[serde(default = "defaults::max_momentum")]
    max_momentum: f64,
    #[serde(default = "defaults::div_factor")]
    div_factor: f64,
    #[serde(default = "defaults::final_div_factor")]
    final_div_factor: f64,
    #[serde(default)]
    three_phase: bool,
}

mod defaults {
    pub(super) fn pct_start() -> f64 {
        0.3
    }
    pub(super) fn cycle_momentum() -> bool {
        true
    }
    pub(super) fn base_momentum() -> f64 {
        0.85
    }
    pub(super) fn max_momentum() -> f64 {
        0.95
    }
    pub(super) fn div_factor() -> f64 {
        25.0
    }
    pub(super) fn final_div_factor() -> f64 {
        1e4
    }
}

impl OneCycle {
    /// Up to `max_lr` and down again in `total_steps` steps.
    pub fn new(max_lr: f64, total_steps: u64) -> Self {
        Self {
            max_lr,
            total_steps: Some(total_steps),
            epochs: None,
            steps_per_epoch: None,
            pct_start: defaults::pct_start(),
            anneal_strategy: AnnealStrategy::Cos,
            cycle_momentum: defaults::cycle_momentum(),
            base_momentum: defaults::base_momentum(),
            max_momentum: defaults::max_momentum(),
            div_factor: defaults::div_factor(),
            final_div_factor: defaults::final_div_factor(),
            three_phase: false,
        }
    }

    /// The share of the steps that go up (default 0.3).
    #[must_use]
    pub fn pct_start(mut self, pct_start: f64) -> Self {
        self.pct_start = pct_start;
        self
    }

    /// Cosine or line (default cosine).
    #[must_use]
    pub fn anneal_strategy(mut self, anneal_strategy: AnnealStrategy) -> Self {
        self.anneal_strategy = anneal_strategy;
        self
    }

    /// Whether momentum goes the other way (default true).
    #[must_use]
    pub fn cycle_momentum(mut self, cycle_momentum: bool) -> Self {
        self.cycle_momentum = cycle_momentum;
        self
    }

    /// The momentum at `max_lr` and the one at the beginning and the end (default 0.85 and 0.95).
    #[must_use]
    pub fn momentum_range(mut self, base_momentum: f64, max_momentum: f64) -> Self {
        (self.base_momentum, self.max_momentum) = (base_momentum, max_momentum);
        self
    }

    /// The first learning rate is `max_lr / div_factor` (default 25).
    #[must_use]
    pub fn div_factor(mut self, div_factor: f64) -> Self {
        self.div_factor = div_factor;
        self
    }

    /// The last learning rate is the first one divided by this (default 1e4).
    #[must_use]
    pub fn final_div_factor(mut self, final_div_factor: f64) -> Self {
        self.final_div_factor = final_div_factor;
        self
    }

    /// Whether the way down has two parts: back to the first learning rate, then to the last (default false).
    #[must_use]
    pub fn three_phase(mut self, three_phase: bool) -> Self {
        self.three_phase = three_phase;
        self
    }

    /// `total_steps`, or as many as the epochs have; 0 if neither is given.
    fn total(&self) -> u64 {
        let of_epochs = || self.epochs.unwrap_or(0).saturating_mul(self.steps_per_epoch.unwrap_or(0));
        self.total_steps.unwrap_or_else(of_epochs)
    }

    /// The value at `counter` of something that goes from `first` to `peak`, `first` again (with three phases) and `last`.
    fn value(&self, counter: u64, first: f64, peak: f64, last: f64) -> f64 {
        let total = self.total() as f64;
        let up = self.pct_start * total - 1.0;
        let phases: &[(f64, f64, f64)] = &if self.three_phase {
            [(up, first, peak), (2.0 * self.pct_start * total - 2.0, peak, first), (total - 1.0, first, last)]
        } else {
            [(up, first, peak), (total - 1.0, peak, last), (total - 1.0, peak, last)]
        };
        let counter = (counter as f64).min(total - 1.0);
        let mut begin = 0.0;
        for (i, &(end, from, to)) in phases.iter().enumerate() {
            if counter <= end || i + 1 == phases.len() {
                return self.between(from, to, (counter - begin) / (end - begin));
            }
            begin = end;
        }
        last
    }

    fn between(&self, from: f64, to: f64, share: f64) -> f64 {
        match self.anneal_strategy {
            AnnealStrategy::Cos => to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos()),
            AnnealStrategy::Linear => from + (to - from) * share,
        }
    }
}

impl Configured for OneCycle {
    const NAME: &'static str = "one_cycle";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::number("max_lr", |s| &mut s.max_lr, Above(0.0), "The highest rate"),
        Setting::whole("total_steps", |s| s.total_steps, Count(0), "How many steps the cycle has"),
        Setting::whole("epochs", |s| s.epochs, Count(0), "With steps_per_epoch, in place of total_steps"),
        Setting::whole(
            "steps_per_epoch",
            |s| s.steps_per_epoch,
            Count(0),
            "With epochs, in place of total_steps",
        ),
        Setting::number("pct_start", |s| &mut s.pct_start, Closed(0.0, 1.0), "The share of steps that go up"),
        Setting::one_of("anneal_strategy", &["cos", "linear"], "Along what it goes"),
        Setting::switch("cycle_momentum", "Moves momentum the other way"),
        Setting::number(
            "base_momentum",
            |s| &mut s.base_momentum,
            ClosedOpen(0.0, 1.0),
            "The lowest momentum",
        ),
        Setting::number(
            "max_momentum",
            |s| &mut s.max_momentum,
            ClosedOpen(0.0, 1.0),
            "The highest momentum",
        ),
        Setting::number("div_factor", |s| &mut s.div_factor, Above(0.0), "The highest rate over the first"),
        Setting::number(
            "final_div_factor",
            |s| &mut s.final_div_factor,
            Above(0.0),
            "The first rate over the last",
        ),
        Setting::switch("three_phase", "Goes down as it went up, then further down"),
    ];

    fn check_together(&self) -> Result<()> {
        let of = Self::NAME;
        // torch takes shorter ones too, skips the peak, and divides by 0 where the way up is one step long
        let up = self.pct_start * self.total() as f64;
        let long_enough = self.total() >= 2 && (up > 1.0 || self.pct_start == 0.0);
        let least = if self.pct_start == 0.0 { 2.0 } else { (1.0 / self.pct_start).floor() + 1.0 };
        let allowed = format!("at least {least} (with `pct_start` {})", self.pct_start);
        require(of, "total_steps", self.total(), allowed, long_enough)?;
        let first = self.max_lr / self.div_factor;
        let divides = "large enough for the learning rate to be finite";
        require(of, "div_factor", self.div_factor, divides, first.is_finite())?;
        let last = first / self.final_div_factor;
        require(of, "final_div_factor", self.final_div_factor, divides, last.is_finite())
    }
}

impl Schedule for OneCycle {
    fn lr(&self, _base_lr: f64, counter: u64) -> f64 {
        let first = self.max_lr / self.div_factor;
        self.value(counter, first, self.max_lr, first / self.final_div_factor)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.cycle_momentum
            .then(|| self.value(counter, self.max_momentum, self.base_momentum, self.max_momentum))
    }

    fn total_steps(&self) -> Option<u64> {
        Some(self.total())
    }

    as_data!();
}
