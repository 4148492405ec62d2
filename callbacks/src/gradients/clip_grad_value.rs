//! Clips each gradient's elements.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::settings::Range;
use catena_tensor::tch;
use serde::{Deserialize, Serialize};

use crate::control::nan_guard::OnNan;
use crate::control::nan_guard::check_gradients;

/// Brings every element of the gradients into `[-clip_value, clip_value]`, once a window. Source:
/// `torch.nn.utils.clip_grad_value_`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Backward, ClipGradValue, Criterion, Forward};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let chain: Vec<Box<dyn Callback>> = vec![
///     Box::new(Forward),
///     Box::new(Criterion::new(CrossEntropy::new())),
///     Box::new(Backward),
///     Box::new(ClipGradValue::new(0.01)),
/// ];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::Forward, Event::Loss, Event::Backward, Event::Step] {
///     driver.fire(event)?;
/// }
/// let largest = driver.context().optimizer().unwrap().gradient_norm(f64::INFINITY)?;
/// assert!((largest.double_value(&[]) - 0.01).abs() < 1e-8);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipGradValue {
    /// The largest absolute value of an element.
    #[serde(with = "catena_record::float")]
    clip_value: f64,
    #[serde(default)]
    on_nonfinite: Option<OnNan>,
}

impl ClipGradValue {
    /// To this magnitude.
    pub fn new(clip_value: f64) -> Self {
        Self { clip_value, on_nonfinite: None }
    }

    /// What happens when a gradient is NaN or infinite (default nothing, as torch's: an infinity is clipped, a NaN stays). To know, it waits for the
    /// device at every step.
    #[must_use]
    pub fn on_nonfinite(mut self, on_nonfinite: OnNan) -> Self {
        self.on_nonfinite = Some(on_nonfinite);
        self
    }
}

impl Callback for ClipGradValue {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Clip, [Event::Step])
            .logs_nothing()
            .syncs(self.on_nonfinite.is_some())
            .settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Ok(Range::AboveOrInfinite(0.0).setting("clip_value", self.clip_value)?)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let flow = check_gradients(self.on_nonfinite, cx)?;
        if flow != Flow::GO {
            return Ok(flow);
        }
        let _no_grad = tch::no_grad_guard();
        for param in cx.optimizer_mut()?.params() {
            let mut grad = param.f_grad()?;
            if grad.defined() {
                let _clipped = grad.f_clamp_(-self.clip_value, self.clip_value)?;
            }
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::{Skip, Stop, testing};
    use catena_tensor::native::tensor::set_grad;
    use catena_tensor::tch::Tensor;

    use super::*;

    #[test]
    fn a_gradient_that_is_not_finite_is_clipped_skipped_stopped_or_raised_by_choice() {
        let fire = |clip: ClipGradValue, value: f32| {
            let mut driver = testing::driver(vec![Box::new(clip)])?;
            let bias = driver.context().model.var_store().variables()["fc.bias"].shallow_clone();
            set_grad(&bias, Some(&Tensor::from_slice(&[0.5, value, -3.0])))?;
            let flow = driver.fire(Event::Step)?;
            Ok::<_, catena_chain::BoxError>((flow, Vec::<f32>::try_from(bias.grad())?))
        };
        let clip = || ClipGradValue::new(1.0);
        assert_eq!(fire(clip(), f32::INFINITY).unwrap(), (Flow::GO, vec![0.5, 1.0, -1.0]));
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let (flow, left) = fire(clip().on_nonfinite(OnNan::SkipStep), value).unwrap();
            assert_eq!((flow, left[2]), (Flow::SKIP_STEP, -3.0));
            let (stopped, _) = fire(clip().on_nonfinite(OnNan::StopRun), value).unwrap();
            assert_eq!((stopped.skip, stopped.stop), (Skip::Step, Stop::Run));
            let text = fire(clip().on_nonfinite(OnNan::Error), value).unwrap_err().to_string();
            assert!(text.contains("the largest gradient is"), "{text}");
        }
        assert_eq!(fire(clip().on_nonfinite(OnNan::Error), 0.1).unwrap(), (Flow::GO, vec![0.5, 0.1, -1.0]));
    }
}
