//! Clips gradients by their global norm.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Reduce, Result, State};
use serde::{Deserialize, Serialize};

/// Scales the gradients of the pass's optimizer, once a window, so that their norm is at most `max_norm`; logs the norm
/// before that as `grad_norm`. Source: `torch.nn.utils.clip_grad_norm_`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{Backward, ClipGradNorm, Criterion, Forward};
/// use catena_chain::{Callback, Event, testing};
/// use catena_tensor::loss::CrossEntropy;
///
/// let chain: Vec<Box<dyn Callback>> = vec![
///     Box::new(Forward),
///     Box::new(Criterion::new(CrossEntropy::new())),
///     Box::new(Backward),
///     Box::new(ClipGradNorm::new(0.01)),
/// ];
/// let mut driver = testing::driver(chain)?;
/// for event in [Event::Forward, Event::Loss, Event::Backward, Event::Step] {
///     driver.fire(event)?;
/// }
/// let norm = driver.context().optimizer().unwrap().gradient_norm(2.0)?;
/// assert!(norm.double_value(&[]) <= 0.01 + 1e-6);
/// assert!(driver.context_mut().metrics.last("grad_norm")?.unwrap() > 0.01);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipGradNorm {
    max_norm: f64,
    #[serde(default = "two")]
    norm_type: f64,
}

fn two() -> f64 {
    2.0
}

impl ClipGradNorm {
    /// To this 2-norm.
    pub fn new(max_norm: f64) -> Self {
        Self { max_norm, norm_type: two() }
    }

    /// Another norm (default 2); infinity is the largest magnitude.
    #[must_use]
    pub fn norm_type(mut self, norm_type: f64) -> Self {
        self.norm_type = norm_type;
        self
    }
}

impl Callback for ClipGradNorm {
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
        Some(vec!["grad_norm".into()])
    }

    fn check(&self) -> Result<()> {
        let Self { max_norm, norm_type } = *self;
        for (name, value) in [("max_norm", max_norm), ("norm_type", norm_type)] {
            if value.is_nan() || value <= 0.0 {
                return Err(format!("`{name}` is {value}, but must be a number above 0").into());
            }
        }
        Ok(())
    }

    fn note(&self) -> String {
        format!("max_norm {}", self.max_norm)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.skips_step() {
            return Ok(Flow::GO);
        }
        let norm = cx.optimizer_mut()?.clip_grad_norm(self.max_norm, self.norm_type)?;
        cx.log("grad_norm", norm, Reduce::MeanBy(1.0))?;
        Ok(Flow::GO)
    }
}
