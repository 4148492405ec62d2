//! Moves batches to the run's device.
use catena_chain::{Callback, Context, Event, Events, Flow, Phase, Result, State};

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
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Input
    }

    fn hears(&self) -> Events {
        Events::of(&[Event::BatchStart])
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn on_batch_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let device = cx.device();
        cx.batch.to_device(device)?;
        Ok(Flow::GO)
    }
}
