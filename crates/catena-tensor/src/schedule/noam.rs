//! Up along a line, down with the inverse square root, by the model's width.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{Above, Count};
use crate::settings::{Configured, Setting};

/// `base_lr * factor * d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5)`, where `step` is the counter + 1: up along a
/// line for `warmup_steps` steps, then down with the inverse square root of the step.
/// Source: Vaswani et al. 2017, section 5.3 (their optimizer's class was named after Noam Shazeer).
///
/// The formula gives the learning rate itself, so **make the optimizer with `lr` 1**; a group's own `lr` is its share of it.
/// `factor` is 1 by default. [`InverseSqrt`](super::InverseSqrt) is the one that peaks at the optimizer's own rate.
///
/// ```
/// use catena_tensor::schedule::{Noam, Schedule};
///
/// let schedule = Noam::new(512, 4000);
/// let peak = schedule.lr(1.0, 3999);
/// assert!((peak - (512.0f64 * 4000.0).powf(-0.5)).abs() < 1e-15);
/// assert!(schedule.lr(1.0, 3998) < peak && schedule.lr(1.0, 4000) < peak);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noam {
    d_model: u64,
    warmup_steps: u64,
    #[serde(default = "one")]
    factor: f64,
}

fn one() -> f64 {
    1.0
}

impl Noam {
    /// For a model of this width, with this many steps up (the paper has 512 and 4000).
    pub fn new(d_model: u64, warmup_steps: u64) -> Self {
        Self { d_model, warmup_steps, factor: one() }
    }

    /// A factor over all (default 1).
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }
}

impl Configured for Noam {
    const NAME: &'static str = "noam";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("d_model", |s| Some(s.d_model), Count(1), "The model's width"),
        Setting::whole("warmup_steps", |s| Some(s.warmup_steps), Count(1), "How many steps it goes up"),
        Setting::number("factor", |s| &mut s.factor, Above(0.0), "A factor of every rate"),
    ];
}

impl Schedule for Noam {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let step = counter as f64 + 1.0;
        let rate = step.powf(-0.5).min(step * (self.warmup_steps as f64).powf(-1.5));
        base_lr * self.factor * (self.d_model as f64).powf(-0.5) * rate
    }

    as_data!();
}
