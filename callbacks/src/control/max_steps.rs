//! Stops the run after so many steps.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

/// Stops the run when its global step has reached a number. On resume: the run keeps its steps, so nothing to keep here.
///
/// ```
/// use catena_callbacks::MaxSteps;
/// use catena_chain::{Event, Stop, testing};
///
/// let mut driver = testing::driver(vec![Box::new(MaxSteps(1))])?;
/// assert_eq!(driver.fire(Event::BatchEnd)?.stop, Stop::None);
/// driver.context_mut().mark_stepped();
/// driver.close_window();
/// assert_eq!(driver.fire(Event::BatchEnd)?.stop, Stop::Run);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MaxStepsFields", into = "MaxStepsFields")]
pub struct MaxSteps(pub u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxStepsFields {
    /// After how many steps of the run it stops.
    steps: u64,
}

impl From<MaxStepsFields> for MaxSteps {
    fn from(settings: MaxStepsFields) -> Self {
        Self(settings.steps)
    }
}

impl From<MaxSteps> for MaxStepsFields {
    fn from(max_steps: MaxSteps) -> Self {
        Self { steps: max_steps.0 }
    }
}

impl Callback for MaxSteps {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::BatchEnd, Event::LoaderEnd]).logs_nothing().settings(self)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        Ok(Range::Count(1).setting("steps", self.0 as f64)?)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.decide(cx)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.decide(cx)
    }
}

impl MaxSteps {
    fn decide(&self, cx: &mut Context) -> Result<Flow> {
        if cx.global_step() < self.0 {
            return Ok(Flow::GO);
        }
        cx.because(format!("{} steps were made", cx.global_step()));
        Ok(Flow::STOP_RUN)
    }
}
