//! Where a callback hears what happens.
use std::fmt;

use catena_tensor::model::Mode;

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
