//! The tensor layer of catena: everything about models, data and optimizers that a training loop needs and
//! [`tch`] lacks. It knows no callback, and serves a loop written by hand as well as it serves catena's runner.
//!
//! * [`model`]: what a model is; any tch module becomes one in one call
//! * [`layers`]: layers that tell the shapes of their outputs
//! * [`batch`]: named tensors, batches, outputs
//! * [`data`]: loaders, and their order as a function of seed, stage and epoch
//! * [`loss`]: losses with their weight
//! * [`optim`]: optimizers over libtorch's fused kernels, with groups and state by parameter name
//! * [`schedule`]: learning rates as pure functions of a counter
//! * [`rng`]: torch's generators and who may use them
//! * [`settings`]: settings from data, with errors that name the setting
//! * [`init`]: starting from another model's weights
//! * [`hash`]: SHA-256 over named tensors
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

pub mod batch;
pub mod bytes;
mod convert;
pub mod data;
pub mod device;
mod error;
pub mod fusing;
pub mod hash;
pub mod init;
pub mod layers;
pub mod loss;
mod mode;
pub mod model;
pub mod optim;
pub mod params;
pub mod rng;
pub mod schedule;
pub mod settings;
pub mod state;
mod tensor_file;
pub mod type_name;

pub use catena_native as native;
pub use catena_native::gemm;
pub mod panics;
pub use error::{BoxError, Error, Result, panic_message, without_frames};
pub use {rand_chacha, tch};
