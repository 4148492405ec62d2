//! Keeps small gradients from vanishing in float16.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Reduce, Result, State};
use serde::{Deserialize, Serialize};

/// Multiplies the loss by a scale before the backward pass and divides the gradients by it before clipping. Where a gradient
/// is not finite the step is skipped as `SkippedByScaler` (no schedule and no average moves) and the scale shrinks; after
/// `growth_interval` good steps it grows. Logs `loss_scale`. It waits for the device at every step.
///
/// Source: `torch.amp.GradScaler`, with its defaults: `init_scale` 65536, `growth_factor` 2, `backoff_factor` 0.5,
/// `growth_interval` 2000. On resume: scale and count of good steps are kept.
///
/// ```
/// use catena_callbacks::LossScaler;
/// use catena_chain::{Event, testing};
/// use catena_tensor::{loss::Loss, tch::Tensor};
///
/// let mut driver = testing::driver(vec![Box::new(LossScaler::new().init_scale(8.0))])?;
/// driver.context_mut().loss = Some(Loss::new(Tensor::from(1.0), 6.0));
/// driver.fire(Event::Loss)?;
/// assert_eq!(driver.context().loss.as_ref().unwrap().scale, 8.0);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossScaler {
    init_scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
    #[serde(skip)]
    scale: Option<f64>,
    #[serde(skip)]
    good_steps: u64,
}

impl Default for LossScaler {
    fn default() -> Self {
        let (init_scale, growth_factor, backoff_factor, growth_interval) = (65536.0, 2.0, 0.5, 2000);
        Self { init_scale, growth_factor, backoff_factor, growth_interval, scale: None, good_steps: 0 }
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

    fn scale(&self) -> f64 {
        self.scale.unwrap_or(self.init_scale)
    }

    /// The scale after a step, as torch's `_amp_update_scale_` moves it.
    fn update(&mut self, overflow: bool) {
        let scale = self.scale();
        if overflow {
            (self.scale, self.good_steps) = (Some(scale * self.backoff_factor), 0);
            return;
        }
        self.good_steps += 1;
        if self.good_steps == self.growth_interval {
            // torch keeps the scale in f32, and does not let it grow to infinity
            let grown = scale * self.growth_factor;
            let grown = if (grown as f32).is_finite() { grown } else { scale };
            (self.scale, self.good_steps) = (Some(grown), 0);
        }
    }
}

impl Callback for LossScaler {
    fn about(&self) -> About {
        About::of::<Self>()
            .phase(Phase::Unscale)
            .hears([Event::Loss, Event::Step])
            .logs(["loss_scale"])
            .syncs(true)
            .settings(self)
    }

    fn state(&self) -> State {
        let Self {
            init_scale,
            growth_factor: _,
            backoff_factor: _,
            growth_interval: _,
            scale: _,
            good_steps,
        } = self;
        State { json: serde_json::json!([self.scale(), good_steps, init_scale]), tensors: Vec::new() }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (scale, good_steps, init_scale): (_, _, f64) = state.read()?;
        // another first scale, which was allowed, is begun with
        if init_scale == self.init_scale {
            (self.scale, self.good_steps) = (Some(scale), good_steps);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let above = |name: &str, value: f64, bound: f64| match value.is_finite() && value > bound {
            true => Ok(()),
            false => Err(format!("`{name}` is {value}, but must be a number above {bound}")),
        };
        above("init_scale", self.init_scale, 0.0)?;
        above("growth_factor", self.growth_factor, 1.0)?;
        above("backoff_factor", self.backoff_factor, 0.0)?;
        above("growth_interval", self.growth_interval as f64, 0.0)?;
        if self.backoff_factor >= 1.0 {
            return Err(format!("`backoff_factor` is {}, but must be below 1", self.backoff_factor).into());
        }
        Ok(())
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        let scale = self.scale();
        if let Some(loss) = cx.loss.as_mut().filter(|_| scale != 1.0) {
            loss.scale *= scale;
        }
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let scale = self.scale();
        cx.log("loss_scale", scale, Reduce::Last)?;
        let overflow = cx.optimizer_mut()?.unscale_gradients(1.0 / scale)?;
        self.update(overflow);
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
        let mut scaler = LossScaler::new().init_scale(8.0).growth_interval(2);
        let mut scales = vec![];
        for overflow in [false, false, false, true, false, false] {
            scaler.update(overflow);
            scales.push(scaler.scale());
        }
        assert_eq!(scales, [8.0, 16.0, 16.0, 8.0, 8.0, 16.0]);
        scaler.scale = Some(f64::from(f32::MAX));
        scaler.update(false);
        scaler.update(false);
        assert_eq!(scaler.scale(), f64::from(f32::MAX), "it never becomes infinite");
    }

    #[test]
    fn state_goes_on_where_it_was() {
        let mut scaler = LossScaler::new();
        scaler.update(true);
        scaler.update(false);
        let mut other = LossScaler::new();
        other.load_state(scaler.state()).unwrap();
        assert_eq!(other, scaler);
    }
}
