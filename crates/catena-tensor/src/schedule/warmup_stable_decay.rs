//! Up, level, down.
use serde::{Deserialize, Serialize};

use super::{Schedule, as_data};
use crate::settings::Range::{Closed, Count};
use crate::settings::{Configured, Setting};

/// How [`WarmupStableDecay`] goes down; `x` goes from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecayType {
    /// `(1 + cos(pi x)) / 2`.
    #[default]
    #[serde(rename = "cosine")]
    Cosine,
    /// `1 - x`.
    #[serde(rename = "linear")]
    Linear,
    /// `1 - sqrt(x)` (Hägele et al. 2024).
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

/// From `min_lr_ratio * base_lr` along a line to `base_lr` in `warmup_steps` steps, there for `stable_steps`, down to
/// `min_lr_ratio * base_lr` in `decay_steps`, and there.
/// Source: Hu et al. 2024 (MiniCPM); the form is that of `get_wsd_schedule` in Hugging Face's transformers.
///
/// Defaults are that function's: `min_lr_ratio` 0 and `decay_type` cosine.
///
/// ```
/// use catena_tensor::schedule::{DecayType, Schedule, WarmupStableDecay};
///
/// let schedule = WarmupStableDecay::new(2, 3, 4).decay_type(DecayType::Linear);
/// let lr: Vec<f64> = (0..11).map(|step| schedule.lr(1.0, step)).collect();
/// assert_eq!(lr, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmupStableDecay {
    warmup_steps: u64,
    stable_steps: u64,
    decay_steps: u64,
    #[serde(default)]
    min_lr_ratio: f64,
    #[serde(default)]
    decay_type: DecayType,
}

impl WarmupStableDecay {
    /// This many steps up, level and down.
    pub fn new(warmup_steps: u64, stable_steps: u64, decay_steps: u64) -> Self {
        let decay_type = DecayType::default();
        Self { warmup_steps, stable_steps, decay_steps, min_lr_ratio: 0.0, decay_type }
    }

    /// The first and the last learning rate, as a share of `base_lr` (default 0).
    #[must_use]
    pub fn min_lr_ratio(mut self, min_lr_ratio: f64) -> Self {
        self.min_lr_ratio = min_lr_ratio;
        self
    }

    /// How it goes down (default cosine).
    #[must_use]
    pub fn decay_type(mut self, decay_type: DecayType) -> Self {
        self.decay_type = decay_type;
        self
    }
}

impl Configured for WarmupStableDecay {
    const NAME: &'static str = "warmup_stable_decay";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::whole("warmup_steps", |s| Some(s.warmup_steps), Count(0), "How many steps it goes up"),
        Setting::whole("stable_steps", |s| Some(s.stable_steps), Count(0), "How many steps it stays"),
        Setting::whole("decay_steps", |s| Some(s.decay_steps), Count(1), "How many steps it goes down"),
        Setting::number(
            "min_lr_ratio",
            |s| &mut s.min_lr_ratio,
            Closed(0.0, 1.0),
            "The first and last rate, as a share",
        ),
        Setting::one_of("decay_type", &["cosine", "linear", "1-sqrt"], "How it goes down"),
    ];
}

impl Schedule for WarmupStableDecay {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        let level = counter.saturating_sub(self.warmup_steps);
        let height = if counter < self.warmup_steps {
            counter as f64 / self.warmup_steps as f64
        } else if level < self.stable_steps {
            1.0
        } else if level - self.stable_steps < self.decay_steps {
            let x = (level - self.stable_steps) as f64 / self.decay_steps as f64;
            match self.decay_type {
                DecayType::Cosine => (1.0 + (std::f64::consts::PI * x).cos()) / 2.0,
                DecayType::Linear => 1.0 - x,
                DecayType::OneMinusSqrt => 1.0 - x.sqrt(),
            }
        } else {
            0.0
        };
        base_lr * (self.min_lr_ratio + (1.0 - self.min_lr_ratio) * height)
    }

    fn total_steps(&self) -> Option<u64> {
        let ways = self.warmup_steps.saturating_add(self.stable_steps).saturating_add(self.decay_steps);
        Some(ways.saturating_add(1))
    }

    as_data!();
}
