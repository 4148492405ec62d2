//! The callbacks that come with catena. Each is written against the same contract as a callback of yours.
//!
//! | callback | phase | hears | logs |
//! |---|---|---|---|
//! | [`ToDevice`] | input | `batch_start` | |
//! | [`Autocast`] | input | `forward`, `backward`, `batch_end` | |
//! | [`Forward`] | forward | `forward` | |
//! | [`Criterion`] | loss | `loss` | `loss` |
//! | [`Accumulate`] | loss | `loss`, `backward`, `step` | |
//! | [`Backward`] | backward | `backward` | |
//! | [`ClipGradValue`] | clip | `step` | |
//! | [`AdaptiveClip`] | clip | `stage_start`, `step` | |
//! | [`GradientNoise`] | clip | `step` | |
//! | [`LossScaler`] | unscale | `loss`, `step` | `loss_scale` |
//! | [`ClipGradNorm`] | clip | `step` | `grad_norm` |
//! | [`Optimize`] | optimize | `step` | |
//! | [`ZeroGrad`] | zero_grad | `step` | |
//! | [`Ema`] | average | `step` or `epoch_end`, starts and ends of loaders | |
//! | [`Lookahead`] | average | `stage_start`, `step` | |
//! | [`SoftUpdate`] | average | `step` | |
//! | [`LrSchedule`] | schedule | `stage_start`, `step`, `epoch_end` | `lr` |
//! | [`Accuracy`] | measure | `loss` | `accuracy@1`, … |
//! | [`metrics::Measure`] of any metric | measure | `loss`, starts and ends of loaders | the metric's name |
//! | [`metrics::Aggregate`] | measure | `loader_end` | its name |
//! | [`metrics::LossSum`] | loss | `loss` | `loss` and its parts |
//! | [`NanGuard`] | decide | `loss` | |
//! | [`ReduceLrOnPlateau`] | decide | `stage_start`, `epoch_end` | |
//! | [`LrFinder`] | decide | `stage_start`, `step`, `stage_end` | |
//! | [`MaxSteps`] | decide | `batch_end`, `loader_end` | |
//! | [`Progress`] | report | starts and ends of batches and loaders | |
//! | [`Console`] | report | `loader_start`, `loader_end`, `run_end` | |
//!
//! The runner puts [`ToDevice`], [`Forward`], [`Criterion`], [`Backward`], [`Optimize`] and [`ZeroGrad`] in by itself.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod accumulate;
mod accuracy;
mod adaptive_clip;
mod autocast;
mod backward;
mod clip_grad_norm;
mod clip_grad_value;
mod console;
mod criterion;
mod ema;
mod forward;
mod gradient_noise;
mod lookahead;
mod loss_scaler;
mod lr_finder;
mod lr_schedule;
mod max_steps;
pub mod metrics;
mod nan_guard;
mod optimize;
mod progress;
mod reduce_lr_on_plateau;
mod soft_update;
mod to_device;
mod zero_grad;

pub use accumulate::{Accumulate, Tail};
pub use accuracy::Accuracy;
pub use adaptive_clip::AdaptiveClip;
pub use autocast::Autocast;
pub use backward::Backward;
pub use clip_grad_norm::ClipGradNorm;
pub use clip_grad_value::ClipGradValue;
pub use console::Console;
pub use criterion::Criterion;
pub use ema::Ema;
pub use forward::Forward;
pub use gradient_noise::GradientNoise;
pub use lookahead::Lookahead;
pub use loss_scaler::LossScaler;
pub use lr_finder::{LrCurve, LrFinder};
pub use lr_schedule::LrSchedule;
pub use max_steps::MaxSteps;
pub use nan_guard::{NanGuard, OnNan};
pub use optimize::Optimize;
pub use progress::Progress;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
pub use soft_update::SoftUpdate;
pub use to_device::ToDevice;
pub use zero_grad::ZeroGrad;
