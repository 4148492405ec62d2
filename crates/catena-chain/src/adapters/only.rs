//! A callback that hears one loader, mode or stage only.
use std::fmt;

use catena_tensor::model::Mode;

use super::Adapter;
use crate::about::About;
use crate::context::Context;
use crate::event::Event;

/// Where a callback hears what happens. Given to [`CallbackExt::only`](crate::CallbackExt::only).
///
/// Events that lie outside of what was named are heard as ever: with a loader or a mode, those of run, stage and epoch; with a
/// stage, those of the run; with a pass, all but `forward`, `loss`, `backward` and `step`. A name that the run does not have is an error at
/// `build()`.
///
/// ```
/// use catena_chain::{CallbackExt, Event, testing};
///
/// let (recorder, record) = testing::Recorder::new();
/// let mut driver = testing::driver(vec![Box::new(recorder.only("valid"))])?; // in loader `train`
/// driver.fire(Event::BatchEnd)?;
/// driver.fire(Event::EpochEnd)?;
/// assert_eq!(record.events(), ["epoch_end"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// In loaders of this mode.
    Mode(Mode),
    /// In the loader of this name.
    Loader(String),
    /// In the stage of this name.
    Stage(String),
    /// In the pass of this name.
    Pass(String),
}

impl Only {
    /// Whether nothing is heard by both.
    pub fn excludes(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self != other
    }
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
            Self::Pass(name) => write!(f, "only pass {name}"),
        }
    }
}

impl Adapter for Only {
    fn change(&self, about: &mut About) {
        about.note = join(&self.to_string(), &about.note);
        if let Self::Stage(name) = self {
            about.writes.iter_mut().for_each(|write| write.stage = Some(name.clone()));
        }
        about.adapters.push(self.to_string());
        about.only.push(self.clone());
    }

    fn lets_through(&mut self, event: Event, cx: &Context) -> bool {
        let of_run = matches!(event, Event::RunStart | Event::RunEnd | Event::Exception);
        let of_loader = event.is_of_batch() || matches!(event, Event::LoaderStart | Event::LoaderEnd);
        match self {
            Self::Mode(mode) => !of_loader || cx.mode() == *mode,
            Self::Loader(name) => !of_loader || cx.loader() == name,
            Self::Stage(name) => of_run || cx.stage() == name,
            Self::Pass(name) => !event.is_of_pass() || cx.pass() == name,
        }
    }
}

/// Two notes as one.
pub(super) fn join(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}, {second}") }
}
