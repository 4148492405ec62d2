//! Clips each gradient's elements.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};
use catena_tensor::tch;
use serde::{Deserialize, Serialize};

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
    clip_value: f64,
}

impl ClipGradValue {
    /// To this magnitude.
    pub fn new(clip_value: f64) -> Self {
        Self { clip_value }
    }
}

impl Callback for ClipGradValue {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Clip
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Step])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn check(&self) -> Result<()> {
        if self.clip_value > 0.0 {
            return Ok(());
        }
        Err(format!("`clip_value` is {}, but must be a number above 0", self.clip_value).into())
    }

    fn note(&self) -> String {
        format!("clip_value {}", self.clip_value)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
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
