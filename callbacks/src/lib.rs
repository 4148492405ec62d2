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

mod accumulate;
mod accuracy;
mod adaptive_clip;
mod autocast;
mod average;
mod backward;
mod checkpoint;
mod clip_grad_norm;
mod clip_grad_value;
mod console;
mod criterion;
mod dead_activations;
mod early_stopping;
mod ema;
mod finite_model;
mod forward;
mod gaussian_noise;
mod grad_norms;
mod gradient_noise;
mod journal;
mod loggers;
mod lookahead;
mod loss_scaler;
mod lr_finder;
mod lr_schedule;
mod machine;
mod max_steps;
pub mod metrics;
mod model_summary;
mod nan_guard;
mod never_due;
mod optimize;
mod progress;
mod reduce_lr_on_plateau;
mod registry;
mod run_log;
mod sam;
mod signals;
mod soft_update;
mod statistics;
mod swa;
mod to_device;
mod validate;
mod zero_grad;

pub use accumulate::{Accumulate, Tail};
pub use accuracy::Accuracy;
pub use adaptive_clip::AdaptiveClip;
pub use autocast::Autocast;
pub use average::averaged;
pub use backward::Backward;
pub use checkpoint::{Checkpoint, SnapshotPolicy, goal};
pub use clip_grad_norm::ClipGradNorm;
pub use clip_grad_value::ClipGradValue;
pub use console::Console;
pub use criterion::Criterion;
pub use dead_activations::DeadActivations;
pub use early_stopping::EarlyStopping;
pub use ema::Ema;
pub use finite_model::FiniteModel;
pub use forward::Forward;
pub use gaussian_noise::GaussianNoise;
pub use grad_norms::GradNorms;
pub use gradient_noise::GradientNoise;
pub use journal::Journal;
#[cfg(fuzzing)]
pub use loggers::fuzzing;
pub use loggers::{
    Array, CsvFiles, Ending, Entry, Histogram, Image, JsonLines, Logger, Loggers, Mlflow, Outbox, Params,
    Payload, Position, RunInfo, Scalars, Scope, TensorBoard,
};
pub use lookahead::Lookahead;
pub use loss_scaler::LossScaler;
pub use lr_finder::{LrCurve, LrFinder};
pub use lr_schedule::LrSchedule;
pub use machine::{
    HostSyncs, Memory, MemoryUse, Rates, SyncAudit, SyncRow, Throughput, Timeline, Timing, Timings, Tokens,
};
pub use max_steps::MaxSteps;
pub use model_summary::{Layer, ModelSummary, Summary};
pub use nan_guard::{NanGuard, OnNan};
pub use optimize::Optimize;
pub use progress::Progress;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
pub use registry::{from_value, names};
pub use run_log::{RunLog, Tee};
pub use sam::Sam;
pub use signals::Signals;
pub use soft_update::SoftUpdate;
pub use swa::Swa;
pub use to_device::ToDevice;
pub use validate::Validate;
pub use zero_grad::ZeroGrad;
