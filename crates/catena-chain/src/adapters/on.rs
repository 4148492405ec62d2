//! A closure as a callback.
use std::fmt;

use crate::about::About;
use crate::callback::Callback;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::flow::Flow;
use catena_tensor::state::State;

/// A callback of one event, from a closure that may act: it answers with a [`Flow`]. It has no state: what the closure keeps is lost
/// over a resume.
///
/// Its name is `on_<event>`; two closures for one event need [`CallbackExt::named`](crate::CallbackExt::named). For a closure that only looks, see [`look`].
///
/// ```
/// use catena_chain::{Callback, Event, Flow, on};
///
/// let skip = on(Event::BatchStart, |cx| Ok(if cx.global_batch() == 1 { Flow::SKIP_BATCH } else { Flow::GO }));
/// assert_eq!(skip.about().name, "on_batch_start");
/// ```
pub fn on<F: FnMut(&mut Context) -> Result<Flow>>(event: Event, hook: F) -> On<F> {
    On { event, hook }
}

/// A callback of one event, from a closure that only looks: it can't skip or stop. It may log, and may come and go at a resume.
///
/// Its name is `look_<event>`; two closures for one event need [`CallbackExt::named`](crate::CallbackExt::named). It has no state.
///
/// ```
/// use catena_chain::{Callback, Event, Reduce, look};
///
/// let log_lr = look(Event::Step, |cx| {
///     let lr = cx.lr().unwrap_or_default();
///     cx.log("lr", lr, Reduce::Last)
/// });
/// assert_eq!(log_lr.about().name, "look_step");
/// ```
pub fn look<F: FnMut(&mut Context) -> Result<()>>(event: Event, hook: F) -> Look<F> {
    Look { event, hook }
}

/// A closure that may act, as a callback. Made by [`on`].
pub struct On<F> {
    event: Event,
    hook: F,
}

/// A closure that only looks, as a callback. Made by [`look`].
pub struct Look<F> {
    event: Event,
    hook: F,
}

impl<F> fmt::Debug for On<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("event", &self.event).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Look<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("event", &self.event).finish_non_exhaustive()
    }
}

fn about(verb: &str, event: Event) -> About {
    About::named(format!("{verb}_{event}")).hears([event]).note("closure, keeps no state")
}

impl<F: FnMut(&mut Context) -> Result<Flow>> Callback for On<F> {
    fn about(&self) -> About {
        about("on", self.event)
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        if event == self.event { (self.hook)(cx) } else { Ok(Flow::GO) }
    }
}

impl<F: FnMut(&mut Context) -> Result<()>> Callback for Look<F> {
    fn about(&self) -> About {
        about("look", self.event).looks()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        if event == self.event {
            (self.hook)(cx)?;
        }
        Ok(Flow::GO)
    }
}
