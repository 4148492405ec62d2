//! The callbacks that come with catena. Each is written against the same contract as a callback of yours.
//!
//! | callback | phase | hears | logs |
//! |---|---|---|---|
//! | [`ToDevice`] | input | `batch_start` | |
//! | [`GaussianNoise`] | input | `batch_start` | |
//! | [`Autocast`] | input | `forward`, `backward`, `batch_end` | |
//! | [`Forward`] | forward | `forward` | |
//! | [`Criterion`] | loss | `loss` | `loss` |
//! | [`Accumulate`] | loss | `loss`, `backward`, `step` | |
//! | [`Sam`] | loss | `stage_start`, `loss`, `backward` | |
//! | [`Backward`] | backward | `backward` | |
//! | [`ClipGradValue`] | clip | `step` | |
//! | [`AdaptiveClip`] | clip | `stage_start`, `step` | |
//! | [`GradNorms`] | clip | `stage_start`, `step` | `grad_norm/<parameter>`, … |
//! | [`GradientNoise`] | clip | `step` | |
//! | [`LossScaler`] | unscale | `loss`, `step` | `loss_scale` |
//! | [`ClipGradNorm`] | clip | `step` | `grad_norm` |
//! | [`Optimize`] | optimize | `step` | |
//! | [`ZeroGrad`] | zero_grad | `step` | |
//! | [`Ema`] | average | `step`, starts and ends of loaders | |
//! | [`Swa`] | average | `step`, `batch_start`, starts and ends of stages and loaders | |
//! | [`Lookahead`] | average | `stage_start`, `step` | |
//! | [`SoftUpdate`] | average | `step` | |
//! | [`LrSchedule`] | schedule | `stage_start`, `step`, `epoch_end` | `lr`, or the setting it moves |
//! | [`Accuracy`] | measure | `loss`, starts and ends of loaders | `accuracy@1`, … |
//! | [`metrics::Measure`] of any metric | measure | `loss`, starts and ends of loaders | the metric's name |
//! | [`metrics::Aggregate`] | measure | `loader_end` | its name |
//! | [`metrics::LossSum`] | loss | `loss` | `loss` and its parts |
//! | [`DeadActivations`] | measure | `forward`, `loader_start`, `loader_end` | `dead/<output>` |
//! | [`NanGuard`] | decide | `loss` | |
//! | [`Checkpoint`] | decide | `run_start`, `stage_start`, `batch_end`, `epoch_end`, `run_end` | |
//! | [`EarlyStopping`] | decide | `epoch_end` | |
//! | [`Validate`] | decide | `batch_end` or `epoch_end` | |
//! | [`Signals`] | decide | starts and ends of the run, `batch_end` | |
//! | [`ReduceLrOnPlateau`] | decide | `stage_start`, `epoch_end` | |
//! | [`LrFinder`] | decide | `stage_start`, `step`, `stage_end` | |
//! | [`MaxSteps`] | decide | `batch_end`, `loader_end` | |
//! | [`Loggers`] | report | `batch_end`, `loader_end`, starts and ends of epochs, stages and the run, `exception` | |
//! | [`Progress`] | report | starts and ends of batches and loaders | |
//! | [`Journal`] | report | `loss`, `step`, `batch_end`, starts and ends of the run | |
//! | [`Console`] | report | `loader_start`, `loader_end`, `run_end` | |
//! | [`ModelSummary`] | report | `forward`, `batch_start`, starts and ends of stages, `exception` | |
//! | [`Throughput`] | report | `batch_end`, starts and ends of loaders; data | |
//! | [`MemoryUse`] | report | `batch_end`, `loader_end` | |
//! | [`Timeline`] | report | starts and ends; all work | |
//! | [`SyncAudit`] | report | starts and ends of run and stages; all work | |
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
pub use criterion::{Criterion, Losses};
pub use dead_activations::DeadActivations;
pub use early_stopping::EarlyStopping;
pub use ema::Ema;
pub use forward::Forward;
pub use gaussian_noise::GaussianNoise;
pub use grad_norms::GradNorms;
pub use gradient_noise::GradientNoise;
pub use journal::Journal;
pub use loggers::{
    Array, CsvFiles, Ending, Entry, Histogram, Image, JsonLines, Logger, Loggers, Mlflow, Outbox, Params,
    Payload, RunInfo, Scalars, Scope, TensorBoard,
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
