//! What catena needs of libtorch and [`tch`] lacks, as safe functions over a small C++ shim.
//!
//! This is the only crate of catena with `unsafe` in it. Every call returns an [`Error`] where
//! libtorch throws; its text ends before libtorch's stack frames.
//!
//! * [`TensorList`]: tensors handed over once, used at every step; its methods work on them, or on their gradients, together
//! * [`rules`]: one optimizer step in one call, with libtorch's fused kernels where it has them
//! * [`precision`]: autocast in any half precision on any device, and the check of loss scaling
//! * [`fused`]: runs of layers, and the cross entropy of labels, as one autograd node each
//! * [`gemm`]: who multiplies matrices on the CPU, this crate or libtorch's own library
//! * [`memory`]: freed memory of CPU tensors, kept for the next ones
//! * [`generator`]: the state of torch's random generators
//! * [`context`]: deterministic algorithms, the processor's capability, versions
//! * [`observe`]: reads that wait for a device, and the memory that libtorch holds there
//! * [`tensor`]: single-tensor calls
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

pub mod context;
mod error;
mod ffi;
pub mod fused;
pub mod gemm;
pub mod generator;
mod list;
pub mod memory;
pub mod observe;
pub mod precision;
pub mod rules;
pub mod tensor;

pub use error::{Error, Result};
pub use list::TensorList;
