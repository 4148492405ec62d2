//! Clears gradients after a step.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};

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
    fn about(&self) -> About {
        About::new::<Self>(Phase::ZeroGrad, [Event::Step]).role(Role::ZeroGrad).logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        cx.optimizer_mut()?.zero_grad()?;
        Ok(Flow::GO)
    }
}
