//! The callbacks that come with catena. Each is written against the same contract as a callback of yours.
//!
//! What each says of itself: where it stands, whether it acts or only looks, what it hears and logs, and whether its state goes on
//! over the run or begins anew with each stage.
//!
#![doc = include_str!("table.md")]
//!
//! [`from_value`] reads those whose settings are data, as `{"name": "clip_grad_norm", "max_norm": 1.0}`.
//!
//! The runner puts [`ToDevice`], [`Forward`], [`Criterion`], [`Backward`], [`Optimize`] and [`ZeroGrad`] in by itself.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod augmenting;
mod averaging;
mod control;
mod gradients;
mod logging;
mod measuring;
mod profiling;
mod registry;
mod schedules;
mod step;

pub use augmenting::GaussianNoise;
pub use averaging::{Ema, Lookahead, SoftUpdate, Swa, averaged};
pub use catena_loggers::*;
pub use control::{
    Checkpoint, EarlyStopping, FiniteModel, MaxSteps, NanGuard, OnNan, Signals, SnapshotPolicy, Validate,
    goal,
};
pub use gradients::{
    Accumulate, AdaptiveClip, Autocast, ClipGradNorm, ClipGradValue, GradNorms, GradientNoise, LossScaler,
    Sam, Tail,
};
pub use logging::{Console, Journal, Loggers, Outbox, Progress, RunLog, Tee};
pub use measuring::{Accuracy, Aggregate, Combine, CombineNumbers, Measure, MeasuredTensors};
pub use profiling::{
    DeadActivations, HostSyncs, Layer, MemoryInUse, MemoryUse, ModelSummary, Rates, Summary, SyncAudit,
    SyncRow, Throughput, Timeline, Timing, Timings, Tokens,
};
pub use registry::{example, from_value, names, registry};
pub use schedules::{LrCurve, LrFinder, LrSchedule, ReduceLrOnPlateau};
pub use step::{Backward, Criterion, Forward, LossSum, Optimize, ToDevice, ZeroGrad};

/// Metrics, and the callbacks that drive them.
pub mod metrics {
    pub use catena_metrics::*;

    pub use crate::measuring::{Aggregate, Combine, CombineNumbers, Measure, MeasuredTensors};
    pub use crate::step::LossSum;
}
