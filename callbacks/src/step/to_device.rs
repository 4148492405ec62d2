//! Moves batches to the run's device.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, Role, State};

/// Moves each batch to the run's device at `batch_start`; from pinned memory without waiting. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::ToDevice;
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(ToDevice)])?;
/// driver.fire(Event::BatchStart)?;
/// assert_eq!(driver.context().batch.get("input")?.device(), driver.context().device());
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ToDevice;

impl Callback for ToDevice {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Input, [Event::BatchStart]).role(Role::ToDevice).logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_batch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let device = cx.device();
        cx.batch.to_device(device)?;
        Ok(Flow::GO)
    }
}
