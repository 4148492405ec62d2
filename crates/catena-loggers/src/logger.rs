//! What a logger is, and what it is fed with.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use catena_record::logs::Marks;
use catena_tensor::type_name::short_name;
use serde_json::Value as Json;

use crate::error::Result;
use crate::payload::Payload;

/// Takes what a run logs to one place. It works on a thread of its own: the training never waits for it, but at snapshots and
/// at the run's end.
///
/// An error of [`Logger::log`], [`Logger::write`], [`Logger::sync`] or [`Logger::end`] is a warning, once, and the logger gets
/// nothing from there on; the run goes on. An error of [`Logger::start`] or [`Logger::go_on`] ends the run.
///
/// ```
/// use catena_loggers::{Entry, Logger, Payload, Result, RunInfo};
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
/// let mut counter = Counter::default();
/// counter.start(&RunInfo::new(None))?;
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub trait Logger: Send {
    /// The logger begins: with the run, or with a resume from a snapshot that does not know it. What is left of an earlier life of it is removed.
    fn start(&mut self, run: &RunInfo) -> Result<()>;

    /// The run goes on from a snapshot at which the logger had this position: what it logged after that is removed. By default it begins.
    fn go_on(&mut self, run: &RunInfo, position: Position) -> Result<()> {
        let _ = position;
        self.start(run)
    }

    /// Takes an entry, or ignores its kind. It may hold it back until [`Logger::write`].
    fn log(&mut self, entry: &Entry) -> Result<()>;

    /// Makes visible to others what it holds back: asked after every few entries.
    fn write(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes durable what it was given, and notes how far it went. After an error that is how far it went before.
    fn sync(&mut self) -> Result<()> {
        self.write()
    }

    /// How far it went at the last [`Logger::sync`]: what [`Logger::go_on`] goes back to.
    fn position(&self) -> Position {
        Position::default()
    }

    /// The run ends, so far as is known: more entries may come from evaluations after the end.
    fn end(&mut self, ending: Ending) -> Result<()> {
        let _ = ending;
        self.sync()
    }

    /// Its name in warnings, and the key of its position; unique among the loggers of one `Loggers`.
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
}

/// How far a logger went, as data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// What it needs to know to go on.
    pub json: Json,
    /// How far its files went, by their paths in the run directory. Before a resume each is compared with the file that is there; one that is not as
    /// it was, which is an error unless it is allowed, is left out then, and is begun anew.
    pub files: Marks,
}

impl RunInfo {
    /// A run with this run directory, if it has one.
    pub fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_owned) }
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
    /// When it was logged. Only what shows clock times (TensorBoard, MLflow) may write it.
    pub time: SystemTime,
    /// What it is.
    pub payload: Payload,
}

impl Entry {
    /// Whether another one is about the same, at the same place.
    pub(crate) fn is_with(&self, other: &Self) -> bool {
        let about = |entry: &Self| (entry.scope, entry.epoch, entry.global_step, entry.global_batch);
        about(self) == about(other) && self.stage == other.stage && self.loader == other.loader
    }

    /// What a thing of this name is called where there is one space of names: `<loader>/<name>`, for batches
    /// `<loader>.batches/<name>`, and outside of loaders the name alone.
    pub fn tag(&self, name: &str) -> String {
        match (self.scope, &*self.loader) {
            (Scope::Run, _) | (_, "") => name.to_owned(),
            (Scope::Batch(_), loader) => format!("{loader}.batches/{name}"),
            (Scope::Loader, loader) => format!("{loader}/{name}"),
        }
    }
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
