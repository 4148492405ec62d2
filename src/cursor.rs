//! Where the loop is, as data: the next thing to do.
use serde::{Deserialize, Serialize};

use crate::ended_stage::EndedStage;

/// How far in the loop is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Open {
    /// The run has not begun.
    #[default]
    Nothing,
    /// Between stages.
    Run,
    /// Between the epochs of a stage.
    Stage,
    /// Between the loaders of an epoch, or in one that does not train.
    Epoch,
    /// In a Train loader.
    Loader,
    /// The run has ended.
    Ended,
}

/// The next thing to do. Together with the driver's counters it says all that the loop knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    /// The stage that goes on, or begins next.
    pub(crate) stage: usize,
    /// How many of its epochs are done.
    pub(crate) epochs: u64,
    /// The loader that goes on, or begins next in the open epoch.
    pub(crate) loader: usize,
    /// How far in the loop is.
    pub(crate) open: Open,
    /// Whether what ended last was cut short.
    pub(crate) cut_short: bool,
    /// How the stages ended that have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<EndedStage>,
}

impl Cursor {
    pub(crate) fn next_stage(&mut self) {
        (self.stage, self.epochs, self.loader, self.open) = (self.stage + 1, 0, 0, Open::Run);
    }

    pub(crate) fn begin_epoch(&mut self) {
        (self.loader, self.open, self.cut_short) = (0, Open::Epoch, false);
    }

    pub(crate) fn next_epoch(&mut self) {
        (self.epochs, self.loader, self.open) = (self.epochs + 1, 0, Open::Stage);
    }

    pub(crate) fn next_loader(&mut self) {
        (self.loader, self.open) = (self.loader + 1, Open::Epoch);
    }
}
