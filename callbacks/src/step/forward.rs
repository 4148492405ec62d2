//! The model's forward pass.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};

/// Runs the model on the batch at `forward` and sets `cx.outputs`. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::Forward;
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Forward)])?;
/// driver.fire(Event::Forward)?;
/// assert_eq!(driver.context().outputs.get("output")?.size(), [6, 3]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

impl Callback for Forward {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Forward, [Event::Forward]).role(Role::Forward).logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.outputs = cx.model.forward(&cx.batch, cx.mode())?;
        Ok(Flow::GO)
    }
}
