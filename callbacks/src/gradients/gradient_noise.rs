//! Adds noise to gradients.
use catena_chain::{About, Callback, Context, Event, Flow, Outcome, Phase, Result, State};
use catena_tensor::settings::Range;
use catena_tensor::tch;
use serde::{Deserialize, Serialize};

/// Adds Gaussian noise of variance `eta / (1 + t)^gamma` to every gradient, once a window, where `t` counts the steps of the
/// pass's optimizer (Neelakantan et al. 2015, "Adding gradient noise improves learning for very deep networks"; their `gamma`
/// is 0.55). A number that is not finite stays so. It draws from torch's generator, whose state a snapshot holds. On resume:
/// nothing to keep.
///
/// ```
/// use catena_callbacks::GradientNoise;
/// use catena_chain::Callback;
///
/// assert!(GradientNoise::new(0.01).gamma(0.55).check().is_ok());
/// let error = GradientNoise::new(-1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "`eta` is -1, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientNoise {
    /// The variance of the noise at the first step.
    eta: f64,
    #[serde(default = "default_gamma")]
    gamma: f64,
}

fn default_gamma() -> f64 {
    0.55
}

impl GradientNoise {
    /// Of this variance at the first step.
    pub fn new(eta: f64) -> Self {
        Self { eta, gamma: default_gamma() }
    }

    /// How fast the noise fades (default 0.55).
    #[must_use]
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    /// The standard deviation after so many steps.
    fn deviation(&self, steps: u64) -> f64 {
        (self.eta / (1.0 + steps as f64).powf(self.gamma)).sqrt()
    }
}

impl Callback for GradientNoise {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Clip, [Event::Step]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Range::AtLeast(0.0).setting("eta", self.eta)?;
        Ok(Range::AtLeast(0.0).setting("gamma", self.gamma)?)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() || *cx.outcome() == Outcome::Stepped {
            return Ok(Flow::GO);
        }
        let _no_grad = tch::no_grad_guard();
        let optimizer = cx.optimizer_mut()?;
        let deviation = self.deviation(optimizer.steps());
        for param in optimizer.params() {
            let mut grad = param.f_grad()?;
            if grad.defined() {
                let noise = grad.f_randn_like()?.f_mul_scalar(deviation)?;
                let _noisy = grad.f_add_(&noise)?;
            }
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_fades_as_the_paper_says() {
        let noise = GradientNoise::new(0.3);
        for (steps, variance) in [(0, 0.3), (1, 0.3 / 2f64.powf(0.55)), (99, 0.3 / 100f64.powf(0.55))] {
            assert!((noise.deviation(steps).powi(2) - variance).abs() < 1e-15);
        }
    }
}
