//! Keeps small gradients from vanishing in float16.
use catena_tensor::settings::Range;
use std::collections::BTreeMap;

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use serde::{Deserialize, Serialize};

/// Multiplies the loss by a scale before the backward pass and divides the gradients by it before clipping. Where a gradient
/// is not finite the step is skipped as `SkippedByScaler` (no schedule and no average moves) and the scale shrinks; after
/// `growth_interval` good steps it grows. Logs `loss_scale`. It waits for the device at every step.
///
/// Source: `torch.amp.GradScaler`, with its defaults: `init_scale` 65536, `growth_factor` 2, `backoff_factor` 0.5,
/// `growth_interval` 2000. Each pass has a scale of its own, by the pass's name, which goes on from stage to stage. On resume: scales and counts
/// of good steps are kept.
///
/// ```
/// use catena_callbacks::LossScaler;
/// use catena_chain::{Event, testing};
/// use catena_tensor::{loss::Loss, tch::Tensor};
///
/// let mut driver = testing::driver(vec![Box::new(LossScaler::new().init_scale(8.0))])?;
/// driver.context_mut().loss = Some(Loss::new(Tensor::from(1.0), 6.0));
/// driver.fire(Event::Loss)?;
/// assert_eq!(driver.context().loss_scale, 8.0);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossScaler {
    init_scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
    /// By the pass's name.
    #[serde(skip)]
    scales: BTreeMap<String, Scale>,
}

/// A pass's scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scale {
    scale: f64,
    good_steps: u64,
}

impl Default for LossScaler {
    fn default() -> Self {
        let (init_scale, growth_factor, backoff_factor, growth_interval) = (65536.0, 2.0, 0.5, 2000);
        Self { init_scale, growth_factor, backoff_factor, growth_interval, scales: BTreeMap::new() }
    }
}

impl LossScaler {
    /// With torch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first scale (default 65536).
    #[must_use]
    pub fn init_scale(mut self, init_scale: f64) -> Self {
        self.init_scale = init_scale;
        self
    }

    /// What the scale is multiplied by after enough good steps (default 2).
    #[must_use]
    pub fn growth_factor(mut self, growth_factor: f64) -> Self {
        self.growth_factor = growth_factor;
        self
    }

    /// What the scale is multiplied by after a bad step (default 0.5).
    #[must_use]
    pub fn backoff_factor(mut self, backoff_factor: f64) -> Self {
        self.backoff_factor = backoff_factor;
        self
    }

    /// How many good steps in a row let the scale grow (default 2000).
    #[must_use]
    pub fn growth_interval(mut self, growth_interval: u64) -> Self {
        self.growth_interval = growth_interval;
        self
    }

    fn scale(&self, pass: &str) -> Scale {
        self.scales.get(pass).copied().unwrap_or(Scale { scale: self.init_scale, good_steps: 0 })
    }

    /// The scale after a step, as torch's `_amp_update_scale_` moves it.
    fn moved(&self, Scale { scale, good_steps }: Scale, overflow: bool) -> Scale {
        if overflow {
            return Scale { scale: scale * self.backoff_factor, good_steps: 0 };
        }
        if good_steps + 1 < self.growth_interval {
            return Scale { scale, good_steps: good_steps + 1 };
        }
        // torch keeps the scale in f32, and does not let it grow to infinity
        let grown = scale * self.growth_factor;
        Scale { scale: if (grown as f32).is_finite() { grown } else { scale }, good_steps: 0 }
    }
}

impl Callback for LossScaler {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Unscale, [Event::Loss, Event::Step])
            .per_pass()
            .logs(["loss_scale"])
            .syncs(true)
            .settings(self)
    }

    fn state(&self) -> State {
        let Self { init_scale, growth_factor: _, backoff_factor: _, growth_interval: _, scales } = self;
        State::json(serde_json::json!([scales, init_scale]))
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (scales, init_scale): (_, f64) = state.read()?;
        // another first scale, which was allowed, is begun with
        if init_scale == self.init_scale {
            self.scales = scales;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Range::Above(0.0).setting("init_scale", self.init_scale)?;
        Range::Above(1.0).setting("growth_factor", self.growth_factor)?;
        Range::Open(0.0, 1.0).setting("backoff_factor", self.backoff_factor)?;
        Ok(Range::Count(1).setting("growth_interval", self.growth_interval as f64)?)
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.loss_scale *= self.scale(cx.pass()).scale;
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let scale = self.scale(cx.pass());
        cx.log_of_pass("loss_scale", scale.scale, Reduce::Last)?;
        let overflow = cx.optimizer_mut()?.unscale_gradients(1.0 / scale.scale)?;
        self.scales.insert(cx.pass().to_owned(), self.moved(scale, overflow));
        if !overflow {
            return Ok(Flow::GO);
        }
        cx.mark_overflow();
        Ok(Flow::SKIP_STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_shrinks_at_once_and_grows_after_the_interval() {
        let scaler = LossScaler::new().init_scale(8.0).growth_interval(2);
        let mut scale = scaler.scale("main");
        let mut scales = vec![];
        for overflow in [false, false, false, true, false, false] {
            scale = scaler.moved(scale, overflow);
            scales.push(scale.scale);
        }
        assert_eq!(scales, [8.0, 16.0, 16.0, 8.0, 8.0, 16.0]);
        scale.scale = f64::from(f32::MAX);
        scale = scaler.moved(scaler.moved(scale, false), false);
        assert_eq!(scale.scale, f64::from(f32::MAX), "it never becomes infinite");
    }

    #[test]
    fn state_goes_on_where_it_was() {
        let mut scaler = LossScaler::new();
        let moved = scaler.moved(scaler.moved(scaler.scale("main"), true), false);
        scaler.scales.insert("main".into(), moved);
        let mut other = LossScaler::new();
        other.load_state(scaler.state()).unwrap();
        assert_eq!(other, scaler);
    }
}
