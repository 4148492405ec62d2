//! The optimizer's step.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};

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
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Optimize
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::Step])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if !cx.skips_step() {
            cx.optimizer_mut()?.step()?;
        }
        Ok(Flow::GO)
    }
}
