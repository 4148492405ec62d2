//! How a callback changes the course of the loop.
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is left out of the current batch, acting at once. Everybody still hears the event in which it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// Nothing.
    #[default]
    None,
    /// The step: the window's gradients are dropped, and it closes as [`Outcome::SkippedBy`].
    Step,
    /// The rest of the batch but `batch_end`.
    Batch,
}

/// What ends early, acting at the safe point after the current batch, whose step is still done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Nothing.
    #[default]
    None,
    /// The current loader.
    Loader,
    /// The current epoch.
    Epoch,
    /// The current stage.
    Stage,
    /// The run.
    Run,
}

/// What a hook returns: [`Flow::GO`], a [`Skip`], a [`Stop`], or both.
///
/// The answers of all callbacks are merged by maximum, each axis by itself. Every `*_start` that was fired has its `*_end`
/// (only an error breaks this), and there [`Context::cut_short`](crate::Context::cut_short) tells whether something was left
/// out.
///
/// | answer | given at | what happens |
/// |---|---|---|
/// | `SKIP_STEP` | `batch_start`, `forward`, `loss`, `backward`, or `step` before the optimizer | (Train) the rest of the pass is left out, the window's gradients are dropped, the outcome is `SkippedBy(name)`; `batch_end` follows |
/// | `SKIP_STEP` | `step` after the optimizer | an error: the step is done |
/// | `SKIP_BATCH` | `batch_start`, `forward`, `loss` | the rest of the batch is left out; it is in no window, which stays as it was; `batch_end` follows |
/// | `SKIP_BATCH` | `backward`, or `step` before the optimizer | as `SKIP_STEP`, and further passes are left out too |
/// | a skip | any other event, or an evaluation's `SKIP_STEP` | nothing |
/// | `STOP_LOADER` | an event of a batch | after this batch: an open window steps (or is dropped), `loader_end`, the next loader |
/// | `STOP_LOADER` | `loader_start` | no batch of this loader |
/// | `STOP_EPOCH` | anywhere in an epoch | as above, then `epoch_end` without further loaders, the next epoch |
/// | `STOP_STAGE` | anywhere in a stage | as above, then `stage_end` without further epochs, the next stage; after the last stage the run has ended, cut short |
/// | `STOP_RUN` | anywhere | as above, then `run_end`; an open window stays open |
/// | a stop | the last batch of what it names, or its end event | only what it names has ended: nothing is cut short |
/// | a stop | an evaluation in the middle of a train loader | `STOP_LOADER` ends the evaluation alone; the others act at the safe point of the train batch |
///
/// ```
/// use catena_chain::{Flow, Stop};
///
/// let merged = Flow::SKIP_STEP.merge(Flow::STOP_EPOCH).merge(Flow::STOP_LOADER);
/// assert_eq!(merged, Flow { stop: Stop::Epoch, ..Flow::SKIP_STEP });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// What is left out of the current batch.
    pub skip: Skip,
    /// What ends early.
    pub stop: Stop,
}

impl Flow {
    /// Go on.
    pub const GO: Self = Self { skip: Skip::None, stop: Stop::None };
    /// Leave the step out.
    pub const SKIP_STEP: Self = Self { skip: Skip::Step, stop: Stop::None };
    /// Leave the rest of the batch out.
    pub const SKIP_BATCH: Self = Self { skip: Skip::Batch, stop: Stop::None };
    /// End the loader.
    pub const STOP_LOADER: Self = Self { skip: Skip::None, stop: Stop::Loader };
    /// End the epoch.
    pub const STOP_EPOCH: Self = Self { skip: Skip::None, stop: Stop::Epoch };
    /// End the stage.
    pub const STOP_STAGE: Self = Self { skip: Skip::None, stop: Stop::Stage };
    /// End the run.
    pub const STOP_RUN: Self = Self { skip: Skip::None, stop: Stop::Run };

    /// The stronger answer on each axis.
    pub fn merge(self, other: Self) -> Self {
        Self { skip: self.skip.max(other.skip), stop: self.stop.max(other.stop) }
    }
}

/// What became of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The window is still open, or nothing happened yet.
    #[default]
    Accumulating,
    /// The optimizer stepped: schedules and averages move.
    Stepped,
    /// The loss scaler found a gradient that is not finite.
    SkippedByScaler,
    /// The callback of this name skipped the step.
    SkippedBy(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accumulating => f.write_str("accumulating"),
            Self::Stepped => f.write_str("stepped"),
            Self::SkippedByScaler => f.write_str("skipped by the loss scaler"),
            Self::SkippedBy(name) => write!(f, "skipped by {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_answer_wins_on_each_axis_whatever_the_order() {
        let skips = [Skip::None, Skip::Step, Skip::Batch];
        let stops = [Stop::None, Stop::Loader, Stop::Epoch, Stop::Stage, Stop::Run];
        let all: Vec<Flow> = skips.iter().flat_map(|&skip| stops.map(|stop| Flow { skip, stop })).collect();
        for &a in &all {
            assert_eq!(a.merge(Flow::GO), a);
            for &b in &all {
                assert_eq!(a.merge(b), b.merge(a));
                assert!(a.merge(b).skip >= a.skip && a.merge(b).stop >= b.stop);
            }
        }
    }
}
