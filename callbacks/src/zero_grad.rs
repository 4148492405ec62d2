//! Clears gradients after a step.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};

/// Sets the gradients of the pass's optimizer to none at `step`, after the optimizer. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::ZeroGrad;
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(ZeroGrad)])?;
/// driver.fire(Event::Step)?;
/// let main = driver.context().optimizer().unwrap();
/// assert!(main.params().iter().all(|p| !p.grad().defined()));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroGrad;

impl Callback for ZeroGrad {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::ZeroGrad
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Step])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.optimizer_mut()?.zero_grad()?;
        Ok(Flow::GO)
    }
}
