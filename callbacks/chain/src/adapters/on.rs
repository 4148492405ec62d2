//! A closure as a callback.
use std::fmt;

use crate::{Callback, Context, Event, Events, Flow, Result, State};

/// A callback of one event, from a closure. It has no state: what the closure keeps is lost over a resume.
///
/// Its name is `on_<event>`; two closures for one event need [`Callback::named`].
///
/// ```
/// use catena_chain::{Callback, Event, Flow, Reduce, on};
///
/// let log_lr = on(Event::Step, |cx| {
///     let lr = cx.lr().unwrap_or_default();
///     cx.log("lr", lr, Reduce::Last)?;
///     Ok(Flow::GO)
/// });
/// assert_eq!(log_lr.name(), "on_step");
/// ```
pub fn on<F: FnMut(&mut Context) -> Result<Flow>>(event: Event, hook: F) -> On<F> {
    On { event, hook }
}

/// A closure as a callback. Made by [`on`].
pub struct On<F> {
    event: Event,
    hook: F,
}

impl<F> fmt::Debug for On<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("event", &self.event).finish_non_exhaustive()
    }
}

impl<F: FnMut(&mut Context) -> Result<Flow>> Callback for On<F> {
    fn state(&self) -> State {
        State::none()
    }

    fn name(&self) -> &str {
        match self.event {
            Event::RunStart => "on_run_start",
            Event::StageStart => "on_stage_start",
            Event::EpochStart => "on_epoch_start",
            Event::LoaderStart => "on_loader_start",
            Event::BatchStart => "on_batch_start",
            Event::Forward => "on_forward",
            Event::Loss => "on_loss",
            Event::Backward => "on_backward",
            Event::Step => "on_step",
            Event::BatchEnd => "on_batch_end",
            Event::LoaderEnd => "on_loader_end",
            Event::EpochEnd => "on_epoch_end",
            Event::StageEnd => "on_stage_end",
            Event::RunEnd => "on_run_end",
            Event::Exception => "on_exception",
        }
    }

    fn hears(&self) -> Events {
        Events::of(&[self.event])
    }

    fn note(&self) -> String {
        "closure, keeps no state".into()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        if event == self.event { (self.hook)(cx) } else { Ok(Flow::GO) }
    }
}
