//! Acts on a loss that is not finite.
use catena_chain::{About, Callback, Context, Event, Flow, Lifetime, Phase, Result, State};
use catena_tensor::loss::Loss;
use serde::{Deserialize, Serialize};

/// What is done about a number that is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNan {
    /// Ends the run with an error.
    #[default]
    Error,
    /// Skips the step, with a warning in the log: the window's gradients are dropped.
    SkipStep,
    /// Stops the run in order.
    StopRun,
}

/// Reads each Train batch's loss at `loss`, and acts if it is NaN or infinite. It waits for the device at every batch. On
/// resume: nothing to keep.
///
/// ```
/// use catena_callbacks::NanGuard;
/// use catena_chain::{Event, testing};
/// use catena_tensor::{loss::Loss, tch::Tensor};
///
/// let mut driver = testing::driver(vec![Box::new(NanGuard::new())])?;
/// driver.context_mut().loss = Some(Loss::new(Tensor::from(f64::NAN), 6.0));
/// let text = driver.fire(Event::Loss).unwrap_err().to_string();
/// assert!(text.starts_with("NanGuard failed at loss (stage `stage`, epoch 1, loader `train`, batch 1): the loss is NaN"));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NanGuard {
    on_nan: OnNan,
}

impl NanGuard {
    /// Ends the run with an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it does at a loss that is NaN or infinite (default: an error).
    #[must_use]
    pub fn on_nan(mut self, on_nan: OnNan) -> Self {
        self.on_nan = on_nan;
        self
    }
}

impl Callback for NanGuard {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::Loss])
            .logs_nothing()
            .lifetime(Lifetime::Stage)
            .syncs(true)
            .settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_loss(&mut self, cx: &mut Context) -> Result<Flow> {
        // a loss of weight 0 counts nothing: its mean is NaN, and trains nothing
        let counts = |loss: &&Loss| cx.is_train() && loss.weight != 0.0;
        let Some(loss) = cx.loss.as_ref().filter(counts) else { return Ok(Flow::GO) };
        let value = loss.value.f_double_value(&[]).map_err(catena_tensor::Error::from)?;
        if value.is_finite() {
            return Ok(Flow::GO);
        }
        self.on_nan.act(cx, &format!("the loss is {value}"))
    }
}

impl OnNan {
    /// Does what it says, about `what`.
    pub(crate) fn act(self, cx: &mut Context, what: &str) -> Result<Flow> {
        match self {
            Self::Error => Err(format!(
                "{what}; lower the learning rate, clip the gradients, or look for bad values in the batch (samples {})",
                samples(&cx.batch.ids)
            )
            .into()),
            Self::SkipStep => {
                log::warn!("{}: {what}, the step is skipped", cx.place());
                Ok(Flow::SKIP_STEP)
            }
            Self::StopRun => {
                cx.because(what);
                Ok(Flow { stop: Flow::STOP_RUN.stop, ..Flow::SKIP_STEP })
            }
        }
    }
}

/// Does what was chosen if a gradient of the pass's optimizer is not finite; waits for the device if something was.
pub(crate) fn check_gradients(on_nonfinite: Option<OnNan>, cx: &mut Context) -> Result<Flow> {
    let Some(on_nonfinite) = on_nonfinite else { return Ok(Flow::GO) };
    let largest = cx.optimizer_mut()?.gradient_norm(f64::INFINITY)?;
    let largest = largest.f_double_value(&[]).map_err(catena_tensor::Error::from)?;
    if largest.is_finite() {
        return Ok(Flow::GO);
    }
    on_nonfinite.act(cx, &format!("the largest gradient is {largest}"))
}

fn samples(ids: &[u64]) -> String {
    match ids {
        [] => "unknown".into(),
        ids if ids.len() <= 8 => ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        ids => format!("{}, …", ids[..8].iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}
