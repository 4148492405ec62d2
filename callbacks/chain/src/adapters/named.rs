//! A callback under another name or in another phase.
use crate::{Callback, Context, Edge, Event, Events, Flow, Phase, Result, State, Work};

/// A callback under another name. Made by [`Callback::named`].
///
/// ```
/// use catena_chain::{Callback, Event, Flow, Phase, on};
///
/// let first = on(Event::Step, |_| Ok(Flow::GO)).named("first").in_phase(Phase::Clip);
/// assert_eq!((first.name(), first.phase()), ("first", Phase::Clip));
/// ```
#[derive(Debug)]
pub struct Named<C> {
    inner: C,
    name: String,
}

impl<C> Named<C> {
    pub(crate) fn new(inner: C, name: String) -> Self {
        Self { inner, name }
    }
}

impl<C: Callback> Callback for Named<C> {
    fn state(&self) -> State {
        self.inner.state()
    }
    fn load_state(&mut self, state: State) -> Result<()> {
        self.inner.load_state(state)
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn phase(&self) -> Phase {
        self.inner.phase()
    }
    fn hears(&self) -> Events {
        self.inner.hears()
    }
    fn logs(&self) -> Option<Vec<String>> {
        self.inner.logs()
    }
    fn watches(&self) -> Vec<String> {
        self.inner.watches()
    }
    fn syncs(&self) -> bool {
        self.inner.syncs()
    }
    fn check(&self) -> Result<()> {
        self.inner.check()
    }
    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        self.inner.flush(cx)
    }
    fn observes(&self) -> bool {
        self.inner.observes()
    }
    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        self.inner.on_work(work, edge, cx);
    }
    fn note(&self) -> String {
        self.inner.note()
    }
    fn settings(&self) -> serde_json::Value {
        self.inner.settings()
    }
    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        self.inner.on_event(event, cx)
    }
}

/// A callback in another phase. Made by [`Callback::in_phase`].
#[derive(Debug)]
pub struct Phased<C> {
    inner: C,
    phase: Phase,
}

impl<C> Phased<C> {
    pub(crate) fn new(inner: C, phase: Phase) -> Self {
        Self { inner, phase }
    }
}

impl<C: Callback> Callback for Phased<C> {
    fn state(&self) -> State {
        self.inner.state()
    }
    fn load_state(&mut self, state: State) -> Result<()> {
        self.inner.load_state(state)
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn phase(&self) -> Phase {
        self.phase
    }
    fn hears(&self) -> Events {
        self.inner.hears()
    }
    fn logs(&self) -> Option<Vec<String>> {
        self.inner.logs()
    }
    fn watches(&self) -> Vec<String> {
        self.inner.watches()
    }
    fn syncs(&self) -> bool {
        self.inner.syncs()
    }
    fn check(&self) -> Result<()> {
        self.inner.check()
    }
    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        self.inner.flush(cx)
    }
    fn observes(&self) -> bool {
        self.inner.observes()
    }
    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        self.inner.on_work(work, edge, cx);
    }
    fn note(&self) -> String {
        self.inner.note()
    }
    fn settings(&self) -> serde_json::Value {
        self.inner.settings()
    }
    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        self.inner.on_event(event, cx)
    }
}
