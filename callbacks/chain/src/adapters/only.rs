//! A callback that hears one loader, mode or stage only.
use std::fmt;

use catena_tensor::model::Mode;

use crate::{Callback, Context, Edge, Event, Events, Flow, Phase, Result, State, Work};

/// Where a callback hears what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// In loaders of this mode.
    Mode(Mode),
    /// In the loader of this name.
    Loader(String),
    /// In the stage of this name.
    Stage(String),
}

impl From<Mode> for Only {
    fn from(mode: Mode) -> Self {
        Self::Mode(mode)
    }
}

impl From<&str> for Only {
    fn from(loader: &str) -> Self {
        Self::Loader(loader.into())
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(mode) => write!(f, "only {mode:?}"),
            Self::Loader(name) => write!(f, "only loader {name}"),
            Self::Stage(name) => write!(f, "only stage {name}"),
        }
    }
}

/// A callback that hears loaders and batches (or epochs) in one place only. Made by [`Callback::only`].
///
/// Events that lie outside of what was named are heard as ever: with a loader or a mode, those of run, stage and epoch; with a
/// stage, those of the run.
///
/// ```
/// use catena_chain::{Callback, Event, testing};
///
/// let (recorder, record) = testing::Recorder::new();
/// let mut driver = testing::driver(vec![Box::new(recorder.only("valid"))])?; // in loader `train`
/// driver.fire(Event::BatchEnd)?;
/// driver.fire(Event::EpochEnd)?;
/// assert_eq!(record.events(), ["epoch_end"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct OnlyIn<C> {
    inner: C,
    only: Only,
}

impl<C> OnlyIn<C> {
    pub(crate) fn new(inner: C, only: Only) -> Self {
        Self { inner, only }
    }
}

impl<C: Callback> Callback for OnlyIn<C> {
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
        join(&self.only.to_string(), &self.inner.note())
    }
    fn settings(&self) -> serde_json::Value {
        self.inner.settings()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        let of_run = matches!(event, Event::RunStart | Event::RunEnd | Event::Exception);
        let of_loader = event.is_of_batch() || matches!(event, Event::LoaderStart | Event::LoaderEnd);
        let lets_through = match &self.only {
            Only::Mode(mode) => !of_loader || cx.mode() == *mode,
            Only::Loader(name) => !of_loader || cx.loader() == name,
            Only::Stage(name) => of_run || cx.stage() == name,
        };
        if lets_through && self.hears().contains(event) {
            self.inner.on_event(event, cx)
        } else {
            Ok(Flow::GO)
        }
    }
}

/// Two notes as one.
pub(super) fn join(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}, {second}") }
}
