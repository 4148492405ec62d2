//! The parts of a training step: from the batch on the device to the optimizer.
mod backward;
mod criterion;
mod forward;
mod loss_sum;
mod optimize;
mod to_device;
mod zero_grad;

pub use backward::Backward;
pub use criterion::Criterion;
pub use forward::Forward;
pub use loss_sum::LossSum;
pub use optimize::Optimize;
pub use to_device::ToDevice;
pub use zero_grad::ZeroGrad;
