//! A callback with an adapter around it: the one place where a wrapper hands on what it does not change.
use serde_json::{Value, json};

use catena_record::logs::Marks;

use crate::about::About;
use crate::callback::Callback;
use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, Events};
use crate::flow::Flow;
use crate::work::{Edge, Work};
use catena_tensor::state::State;

/// What an adapter changes of the callback in it. Everything else is handed on by [`Adapted`].
pub trait Adapter {
    /// Changes what the callback says of itself.
    fn change(&self, about: &mut About);

    /// Whether the callback in it hears this event now. It is asked for every event that [`Adapter::change`] left in.
    fn lets_through(&mut self, event: Event, cx: &Context) -> bool {
        let _ = (event, cx);
        true
    }

    /// Whether the adapter makes sense around such a callback; asked at `build()`.
    fn check(&self, about: &About) -> Result<()> {
        let _ = about;
        Ok(())
    }

    /// What the adapter itself must keep over a resume; null for nothing.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Takes back what [`Adapter::state`] gave.
    fn load_state(&mut self, state: Value) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// A callback with an adapter around it. Made by [`CallbackExt::named`](crate::CallbackExt::named), [`CallbackExt::in_phase`](crate::CallbackExt::in_phase), [`CallbackExt::in_role`](crate::CallbackExt::in_role),
/// [`CallbackExt::every`](crate::CallbackExt::every) and [`CallbackExt::only`](crate::CallbackExt::only).
///
/// ```
/// use catena_chain::{Callback, CallbackExt, Event, Every, Phase, look};
///
/// let about = look(Event::Step, |_| Ok(())).named("first").in_phase(Phase::Clip).every(Every::Steps(2)).about();
/// assert_eq!((about.name.as_str(), about.phase), ("first", Phase::Clip));
/// assert_eq!(about.text(), "every 2 steps, closure, keeps no state");
/// ```
#[derive(Debug)]
pub struct Adapted<C, A> {
    inner: C,
    adapter: A,
    /// What the inner callback hears; the adapter may hear more.
    hears: Events,
}

impl<C: Callback, A: Adapter> Adapted<C, A> {
    pub(crate) fn new(inner: C, adapter: A) -> Self {
        let hears = inner.about().hears;
        Self { inner, adapter, hears }
    }
}

impl<C: Callback, A: Adapter> Callback for Adapted<C, A> {
    fn about(&self) -> About {
        let mut about = self.inner.about();
        self.adapter.change(&mut about);
        about
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        let own = self.adapter.state();
        if !own.is_null() {
            state.json = json!({ "inner": state.json, "adapter": own });
        }
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<()> {
        if !self.adapter.state().is_null() {
            self.adapter.load_state(state.json["adapter"].take())?;
            state.json = state.json["inner"].take();
        }
        self.inner.load_state(state)
    }

    fn check(&self) -> Result<()> {
        self.adapter.check(&self.about())?;
        self.inner.check()
    }

    fn needed_logs(&self, state: &State) -> Marks {
        if self.adapter.state().is_null() {
            return self.inner.needed_logs(state);
        }
        let json = state.json["inner"].clone();
        self.inner.needed_logs(&State { json, logs: state.logs.clone(), ..State::none() })
    }

    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        self.inner.flush(cx)
    }

    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        self.inner.on_resumed(cx)
    }

    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        self.inner.on_work(work, edge, cx);
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        if self.adapter.lets_through(event, cx) && self.hears.contains(event) {
            self.inner.on_event(event, cx)
        } else {
            Ok(Flow::GO)
        }
    }
}
