//! What a logger is, and what it is fed with.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catena_chain::{Context, Result, short_name};
use serde_json::Value as Json;

/// Takes what a run logs to one place. It works on a thread of its own: the training never waits for it, but at snapshots and
/// at the run's end.
///
/// An error of [`Logger::log`], [`Logger::write`], [`Logger::sync`] or [`Logger::end`] is a warning, once, and the logger gets
/// nothing from there on; the run goes on. An error of [`Logger::start`] or [`Logger::resume`] ends the run.
///
/// ```
/// use catena_callbacks::{Entry, Logger, Loggers, Payload, RunInfo};
/// use catena_chain::Result;
///
/// /// Counts what it gets.
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Logger for Counter {
///     fn start(&mut self, _: &RunInfo) -> Result<()> {
///         Ok(())
///     }
///
///     fn log(&mut self, entry: &Entry) -> Result<()> {
///         if let Payload::Scalars(scalars) = &entry.payload {
///             self.0 += scalars.iter().count() as u64;
///         }
///         Ok(())
///     }
/// }
///
/// let loggers = Loggers::new().with(Counter::default());
/// ```
pub trait Logger: Send {
    /// The run begins, or goes on. What an earlier run left is removed if it begins.
    fn start(&mut self, run: &RunInfo) -> Result<()>;

    /// Takes an entry, or ignores its kind. It may hold it back until [`Logger::write`].
    fn log(&mut self, entry: &Entry) -> Result<()>;

    /// Makes visible to others what it holds back: asked after every few entries.
    fn write(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes durable what it was given, and says how far it went, as data. After an error it says how far it went before.
    fn sync(&mut self) -> Result<()> {
        self.write()
    }

    /// How far it went at the last [`Logger::sync`]: what [`Logger::resume`] goes back to.
    fn position(&self) -> Json {
        Json::Null
    }

    /// Goes back to a position: what was logged after it is removed. Follows on [`Logger::start`].
    fn resume(&mut self, position: Json) -> Result<()> {
        let _ = position;
        Ok(())
    }

    /// The run ends, so far as is known: more entries may come from evaluations after the end.
    fn end(&mut self, ending: Ending) -> Result<()> {
        let _ = ending;
        self.sync()
    }

    /// Its name in warnings, and the key of its position; unique among the loggers of one [`Loggers`](super::Loggers).
    fn name(&self) -> &str {
        short_name::<Self>()
    }
}

/// The run that a logger is started for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunInfo {
    /// The run directory, if there is one.
    pub dir: Option<PathBuf>,
    /// Whether the run goes on from a snapshot.
    pub resuming: bool,
}

impl RunInfo {
    /// The run of a context.
    pub fn of(cx: &Context) -> Self {
        Self { dir: cx.run_dir().map(Path::to_owned), resuming: cx.resuming() }
    }

    /// The run directory, or an error that says that `logger` needs one.
    pub fn needs_dir(&self, logger: &str) -> Result<&Path> {
        let missing = || {
            format!(
                "{logger} writes into the run directory, but the run has none; give one with `.run_dir(path)`"
            )
        };
        Ok(self.dir.as_deref().ok_or_else(missing)?)
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is done, or a callback stopped it.
    Done,
    /// It is interrupted, and can go on.
    Interrupted,
    /// With an error.
    Failed,
}

/// What is logged at once, and where in the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The stage's name; empty outside of stages.
    pub stage: Arc<str>,
    /// The epoch in its stage, from 1; 0 outside of epochs.
    pub epoch: u64,
    /// The loader's name; empty outside of loaders.
    pub loader: Arc<str>,
    /// What it is about.
    pub scope: Scope,
    /// Steps of the run so far.
    pub global_step: u64,
    /// Train batches of the run so far.
    pub global_batch: u64,
    /// What it is.
    pub payload: Payload,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The loader's batch of this number, from 1.
    Batch(u64),
    /// A whole loader.
    Loader,
    /// Something that belongs to no loader.
    Run,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// Metrics, without the loader's name, in the order of their first logging.
    Scalars(Scalars),
}

/// Numbers by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalars {
    names: Arc<[String]>,
    values: Vec<f64>,
}

impl Scalars {
    /// As many values as names.
    pub(crate) fn new(names: Arc<[String]>, values: Vec<f64>) -> Self {
        Self { names, values }
    }

    /// Each name with its value, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.names.iter().map(String::as_str).zip(self.values.iter().copied())
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Scalars {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(iter: I) -> Self {
        let (names, values): (Vec<String>, Vec<f64>) =
            iter.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        Self { names: names.into(), values }
    }
}
