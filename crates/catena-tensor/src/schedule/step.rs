//! Down by a factor, again and again.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{AtLeast, Count};
use crate::settings::{Configured, Setting};

/// `base_lr`, times `gamma` after every `step_size` steps. Source: `torch.optim.lr_scheduler.StepLR`.
///
/// `gamma` is 0.1 by default.
///
/// ```
/// use catena_tensor::schedule::{Schedule, Step};
///
/// let schedule = Step::new(2).gamma(0.5);
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.lr(1.0, step)), [1.0, 1.0, 0.5, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    step_size: u64,
    #[serde(default = "tenth")]
    gamma: f64,
}

impl Step {
    /// Times 0.1 after every `step_size` steps.
    pub fn new(step_size: u64) -> Self {
        Self { step_size, gamma: tenth() }
    }

    /// The factor (default 0.1).
    #[must_use]
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }
}

impl Configured for Step {
    const NAME: &'static str = "step";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("step_size", |s| Some(s.step_size), Count(1), "How many steps a rate lasts"),
        Setting::number("gamma", |s| &mut s.gamma, AtLeast(0.0), "The factor after them"),
    ];
}

impl Schedule for Step {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        base_lr * self.gamma.powf((counter / self.step_size.max(1)) as f64)
    }

    as_data!();
}

pub(super) fn tenth() -> f64 {
    0.1
}
