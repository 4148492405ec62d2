//! How a stage ended, and who stopped it.
use std::fmt;

use serde::{Deserialize, Serialize};

/// Who stopped a run or a stage, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// The callback's name.
    pub by: String,
    /// Its reason, if it gave one.
    pub why: Option<String>,
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EndedStage {
    /// Its name.
    pub stage: String,
    /// The epoch in which it ended.
    pub epoch: u64,
    /// How many epochs it was to have.
    pub epochs: u64,
    /// Who stopped it before its end, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

impl fmt::Display for EndedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, epoch, epochs, stopped } = self;
        match stopped {
            None => write!(f, "stage `{stage}`: done in {epochs} epochs"),
            Some(Stopped { by, why }) => {
                write!(f, "stage `{stage}`: stopped in epoch {epoch} of {epochs} by {by}")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
        }
    }
}
