//! The model's forward pass.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};

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
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Forward
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Forward])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn on_forward(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.outputs = cx.model.forward(&cx.batch, cx.mode())?;
        Ok(Flow::GO)
    }
}
