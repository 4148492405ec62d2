//! Which snapshot a run goes on from.
use std::path::PathBuf;

use catena_tensor::schedule::PlateauMode;

/// Which snapshot a run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// The newest one that is whole; damaged ones are set aside, with a warning. None at all is an error.
    Latest,
    /// As [`Resume::Latest`], but without a snapshot the run begins at its beginning. Where there are only damaged ones it is an error.
    LatestIfAny,
    /// The best one by a metric that was measured of just its parameters. Newer ones are set aside in
    /// `checkpoints/superseded`.
    Best {
        /// The metric's whole name, such as `valid/loss`.
        metric: String,
        /// Which way it gets better.
        mode: PlateauMode,
    },
    /// The one in this folder. Newer ones are set aside in `checkpoints/superseded`.
    Path(PathBuf),
}

impl Resume {
    pub(crate) fn is_latest(&self) -> bool {
        matches!(self, Self::Latest | Self::LatestIfAny)
    }
}
