//! The optimizer's step.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};

/// Steps the pass's optimizer at `step`, unless somebody skips it. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::Optimize;
/// use catena_chain::{Event, Outcome, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Optimize)])?;
/// driver.fire(Event::Step)?;
/// assert_eq!(*driver.context().outcome(), Outcome::Stepped);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Optimize;

impl Callback for Optimize {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Optimize, [Event::Step]).role(Role::Optimize).logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if !cx.skips_step() {
            cx.optimizer_mut()?.step()?;
        }
        Ok(Flow::GO)
    }
}
