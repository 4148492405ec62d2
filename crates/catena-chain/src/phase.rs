//! The order in which callbacks hear an event.
use serde::{Deserialize, Serialize};
use strum::Display;

/// Where a callback stands in the chain: every event is heard in this order, then in the order of insertion.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Transfer to the device, augmentation of a batch.
    Input,
    /// The model's forward pass.
    Forward,
    /// The criterion, aggregation of losses, accumulation's weight.
    Loss,
    /// The backward pass.
    Backward,
    /// Reduction over processes.
    Reduce,
    /// Undoing the loss scale.
    Unscale,
    /// Gradient clipping and noise.
    Clip,
    /// The optimizer's step.
    Optimize,
    /// Clearing gradients.
    ZeroGrad,
    /// Averages of the weights.
    Average,
    /// Schedules.
    Schedule,
    /// Metrics.
    Measure,
    /// A callback that names no phase.
    #[default]
    User,
    /// Early stopping, guards, limits: what changes the flow.
    Decide,
    /// Loggers and progress.
    Report,
}
