//! Up to the optimizer's own rate, then down with the inverse square root.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::Count;
use crate::settings::{Configured, Setting};

/// From 0 to `base_lr` along a line in `warmup_steps` steps, then
/// `base_lr * sqrt(timescale / (counter - warmup_steps + timescale))`.
/// Source: `get_inverse_sqrt_schedule` of Hugging Face's transformers (Zhai et al. 2021).
///
/// `timescale` is `warmup_steps` by default (10000 without a warm-up), so that the rate falls with
/// `sqrt(warmup_steps / counter)`.
///
/// ```
/// use catena_tensor::schedule::{InverseSqrt, Schedule};
///
/// let schedule = InverseSqrt::new(4);
/// assert_eq!([0, 2, 4, 16].map(|step| schedule.lr(1.0, step)), [0.0, 0.5, 1.0, 0.5]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseSqrt {
    warmup_steps: u64,
    #[serde(default)]
    timescale: Option<u64>,
}

impl InverseSqrt {
    /// With this many steps up; 0 is none.
    pub fn new(warmup_steps: u64) -> Self {
        Self { warmup_steps, timescale: None }
    }

    /// In how many steps after the warm-up the rate falls to `base_lr / sqrt(2)` (default `warmup_steps`).
    #[must_use]
    pub fn timescale(mut self, timescale: u64) -> Self {
        self.timescale = Some(timescale);
        self
    }
}

impl Configured for InverseSqrt {
    const NAME: &'static str = "inverse_sqrt";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("warmup_steps", |s| Some(s.warmup_steps), Count(0), "How many steps it goes up"),
        Setting::whole(
            "timescale",
            |s| s.timescale,
            Count(1),
            "How slowly it goes down; null: as warmup_steps",
        ),
    ];
}

impl Schedule for InverseSqrt {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        if counter < self.warmup_steps {
            return base_lr * (counter as f64 / self.warmup_steps as f64);
        }
        let default = if self.warmup_steps == 0 { 10_000 } else { self.warmup_steps };
        let timescale = self.timescale.unwrap_or(default) as f64;
        base_lr / (((counter - self.warmup_steps) as f64 + timescale) / timescale).sqrt()
    }

    as_data!();
}
