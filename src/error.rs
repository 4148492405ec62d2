//! What can go wrong with a run.
use std::path::PathBuf;

use catena_chain::{BoxError, Place};

/// A result of this crate.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// What this crate's own functions return.
pub(crate) type RunResult<T> = std::result::Result<T, Error>;

/// What can go wrong when a runner is built or runs. As `Debug` it is the same sentence, for that is what a `main` that returns it prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runner's description makes no sense; found before anything runs.
    #[error("{0}")]
    Build(String),
    /// A setting of a stage makes no sense; found before anything runs.
    #[error("stage `{stage}`: {source}")]
    Stage {
        /// The stage's name.
        stage: String,
        /// What is wrong.
        source: BoxError,
    },
    /// A callback's settings make no sense; found before anything runs.
    #[error("{callback}: {source}")]
    Settings {
        /// The callback's name.
        callback: String,
        /// What is wrong.
        source: BoxError,
    },
    /// A callback failed or panicked, or the chain is not sound.
    #[error(transparent)]
    Chain(#[from] catena_chain::Error),
    /// A loader failed or panicked.
    #[error("the loader failed ({place}): {source}")]
    Loader {
        /// Where the run was.
        place: Box<Place>,
        /// What the loader returned.
        source: BoxError,
    },
    /// An evaluation was asked for that can't be had.
    #[error("an evaluation on `{name}` was asked for ({place}), but the stage's Eval loaders are: {known}")]
    NoEvaluation {
        /// The loader asked for.
        name: String,
        /// Where the run was.
        place: Box<Place>,
        /// The loaders there are.
        known: String,
    },
    /// A run without a directory can't be resumed.
    #[error("the runner has no run directory to go on from; give one with `.run_dir(path)`")]
    NoRunDirectory,
    /// The metric was measured of no snapshot, or is NaN in each.
    #[error("no snapshot has a number for `{metric}` that was measured of it; what was measured: {known}")]
    NotMeasured {
        /// The metric.
        metric: String,
        /// Those that were.
        known: String,
    },
    /// There is nothing to go on from.
    #[error("{} holds no snapshot to go on from{damaged}", path.display())]
    NoSnapshot {
        /// The run directory.
        path: PathBuf,
        /// The snapshots that were damaged and passed over, after a semicolon; empty if there were none.
        damaged: String,
    },
    /// The run directory holds another run.
    #[error(
        "{} holds snapshots of a run already; go on from them with `resume`, or give another directory",
        path.display()
    )]
    HoldsRun {
        /// The run directory.
        path: PathBuf,
    },
    /// The run is not the one that was saved.
    #[error("the run is not the one that was saved: {differences}")]
    OtherRun {
        /// What was, and what is; and what to do about it.
        differences: String,
    },
    /// Logs that the run would go on writing are other ones than at the snapshot.
    #[error(
        "the logs in {} are not as the snapshot left them: {logs}; put them back, or allow `logs`: the run then sets them aside, begins them \
         anew and goes on",
        path.display()
    )]
    Logs {
        /// The run directory.
        path: PathBuf,
        /// Which, and how they differ.
        logs: String,
    },
    /// A hook of a run began another run.
    #[error(
        "a run was begun inside a hook of another run: it would seed the generators that the outer one draws from; begin it after the \
         outer one has ended, or in a process of its own"
    )]
    InsideRun,
    /// A snapshot could not be taken or read.
    #[error("snapshot: {0}")]
    Record(#[from] catena_record::Error),
    /// The runner has run.
    #[error("this runner has run already; build another one (or resume) to go on")]
    HasRun,
    /// Anything between the chain and libtorch.
    #[error("{source} ({place})")]
    At {
        /// Where the run was.
        place: Box<Place>,
        /// What went wrong.
        source: BoxError,
    },
    /// Tensors, models, data or optimizers.
    #[error(transparent)]
    Tensor(#[from] catena_tensor::Error),
}

impl From<catena_tensor::tch::TchError> for Error {
    fn from(error: catena_tensor::tch::TchError) -> Self {
        catena_tensor::Error::from(error).into()
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
