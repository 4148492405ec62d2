//! Up and down between two rates.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::error::Result;
use crate::settings::Range::{Above, AtLeast, ClosedOpen, Count};
use crate::settings::{Configured, Setting, require};

/// How the height of [`Cyclic`]'s cycles changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CyclicMode {
    /// Every cycle is as high as the first.
    #[default]
    Triangular,
    /// Every cycle is half as high as the one before.
    Triangular2,
    /// The height is multiplied by `gamma` at every step.
    ExpRange,
}

/// Up from `base_lr` to `max_lr` in `step_size_up` steps, down in `step_size_down`, and so on; momentum goes the other way.
/// Source: `torch.optim.lr_scheduler.CyclicLR` (Smith 2017), without `scale_fn`.
///
/// It replaces the optimizer's own learning rate. Defaults are torch's: `step_size_up` 2000, `step_size_down` as
/// `step_size_up`, `mode` triangular, `gamma` 1, `cycle_momentum` true, `base_momentum` 0.8, `max_momentum` 0.9.
///
/// ```
/// use catena_tensor::schedule::{Cyclic, Schedule};
///
/// let schedule = Cyclic::new(0.0, 1.0).step_size_up(2);
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(0.1, step)), [0.0, 0.5, 1.0, 0.5, 0.0]);
/// assert_eq!(schedule.momentum(2), Some(0.8));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cyclic {
    base_lr: f64,
    max_lr: f64,
    #[serde(default = "defaults::step_size_up")]
    step_size_up: u64,
    #[serde(default)]
    step_size_down: Option<u64>,
    #[serde(default)]
    mode: CyclicMode,
    #[serde(default = "defaults::gamma")]
    gamma: f64,
    #[serde(default = "defaults::cycle_momentum")]
    cycle_momentum: bool,
    #[serde(default = "defaults::base_momentum")]
    base_momentum: f64,
    #[serde(default = "defaults::max_momentum")]
    max_momentum: f64,
}

mod defaults {
    pub(super) fn step_size_up() -> u64 {
        2000
    }
    pub(super) fn gamma() -> f64 {
        1.0
    }
    pub(super) fn cycle_momentum() -> bool {
        true
    }
    pub(super) fn base_momentum() -> f64 {
        0.8
    }
    pub(super) fn max_momentum() -> f64 {
        0.9
    }
}

impl Cyclic {
    /// Between these two rates.
    pub fn new(base_lr: f64, max_lr: f64) -> Self {
        Self {
            base_lr,
            max_lr,
            step_size_up: defaults::step_size_up(),
            step_size_down: None,
            mode: CyclicMode::Triangular,
            gamma: defaults::gamma(),
            cycle_momentum: defaults::cycle_momentum(),
            base_momentum: defaults::base_momentum(),
            max_momentum: defaults::max_momentum(),
        }
    }

    /// How many steps go up (default 2000).
    #[must_use]
    pub fn step_size_up(mut self, step_size_up: u64) -> Self {
        self.step_size_up = step_size_up;
        self
    }

    /// How many steps go down (default as many as go up).
    #[must_use]
    pub fn step_size_down(mut self, step_size_down: u64) -> Self {
        self.step_size_down = Some(step_size_down);
        self
    }

    /// How the height changes (default triangular: not at all).
    #[must_use]
    pub fn mode(mut self, mode: CyclicMode) -> Self {
        self.mode = mode;
        self
    }

    /// The factor of `exp_range` (default 1).
    #[must_use]
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    /// Whether momentum goes the other way (default true).
    #[must_use]
    pub fn cycle_momentum(mut self, cycle_momentum: bool) -> Self {
        self.cycle_momentum = cycle_momentum;
        self
    }

    /// The momentum at `max_lr` and the one at `base_lr` (default 0.8 and 0.9).
    #[must_use]
    pub fn momentum_range(mut self, base_momentum: f64, max_momentum: f64) -> Self {
        (self.base_momentum, self.max_momentum) = (base_momentum, max_momentum);
        self
    }

    /// How far above the base `counter` is; 1 is the top of the first cycle. Computed as torch computes it.
    fn height(&self, counter: u64) -> f64 {
        let up = self.step_size_up as f64;
        let total = up + self.step_size_down.map_or(up, |down| down as f64);
        let top = up / total;
        let cycle = (1.0 + counter as f64 / total).floor();
        let x = 1.0 + counter as f64 / total - cycle;
        let height = if x <= top { x / top } else { (x - 1.0) / (top - 1.0) };
        height
            * match self.mode {
                CyclicMode::Triangular => 1.0,
                CyclicMode::Triangular2 => (1.0 - cycle).exp2(),
                CyclicMode::ExpRange => self.gamma.powf(counter as f64),
            }
    }
}

impl Configured for Cyclic {
    const NAME: &'static str = "cyclic";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::number("base_lr", |s| &mut s.base_lr, AtLeast(0.0), "The lowest rate"),
        Setting::number("max_lr", |s| &mut s.max_lr, Above(0.0), "The highest rate"),
        Setting::whole("step_size_up", |s| Some(s.step_size_up), Count(1), "How many steps it goes up"),
        Setting::whole(
            "step_size_down",
            |s| s.step_size_down,
            Count(1),
            "How many steps it goes down; null: as many",
        ),
        Setting::one_of(
            "mode",
            &["triangular", "triangular2", "exp_range"],
            "How the cycles' height changes",
        ),
        Setting::number(
            "gamma",
            |s| &mut s.gamma,
            AtLeast(0.0),
            "The height's factor at every step, with exp_range",
        ),
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
    ];

    fn check_together(&self) -> Result<()> {
        // a range that grows would take the momentum out of its own
        let grows = self.mode == CyclicMode::ExpRange && self.cycle_momentum && self.gamma > 1.0;
        require(Self::NAME, "gamma", self.gamma, "in [0, 1] where `cycle_momentum` goes with it", !grows)
    }
}

impl Schedule for Cyclic {
    fn lr(&self, _base_lr: f64, counter: u64) -> f64 {
        self.base_lr + (self.max_lr - self.base_lr) * self.height(counter)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        let range = self.max_momentum - self.base_momentum;
        self.cycle_momentum.then(|| self.max_momentum - range * self.height(counter))
    }

    as_data!();
}
