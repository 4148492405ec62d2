//! Down by a factor at given steps.
use serde::{Deserialize, Serialize};

use super::step::tenth;
use super::{Schedule, as_data};
use crate::settings::Range::AtLeast;
use crate::settings::{Configured, Setting};

/// `base_lr`, times `gamma` at each milestone; one that is listed twice counts twice.
/// Source: `torch.optim.lr_scheduler.MultiStepLR`.
///
/// `gamma` is 0.1 by default.
///
/// ```
/// use catena_tensor::schedule::{MultiStep, Schedule};
///
/// let schedule = MultiStep::new([1, 3]).gamma(0.5);
/// assert_eq!([0, 1, 2, 3].map(|step| schedule.lr(1.0, step)), [1.0, 0.5, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiStep {
    milestones: Vec<u64>,
    #[serde(default = "tenth")]
    gamma: f64,
}

impl MultiStep {
    /// Times 0.1 at each of these counters, in any order.
    pub fn new(milestones: impl Into<Vec<u64>>) -> Self {
        Self { milestones: milestones.into(), gamma: tenth() }
    }

    /// The factor (default 0.1).
    #[must_use]
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }
}

impl Configured for MultiStep {
    const NAME: &'static str = "multi_step";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::other(
            "milestones",
            "a list of whole numbers",
            "[]",
            "The steps from which on the factor is applied once more",
        ),
        Setting::number("gamma", |s| &mut s.gamma, AtLeast(0.0), "The factor"),
    ];
}

impl Schedule for MultiStep {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= counter).count();
        base_lr * self.gamma.powf(passed as f64)
    }

    as_data!();
}
