//! What is done with gradients between the backward pass and the step: accumulation, clipping, noise, precision, SAM.
mod accumulate;
mod adaptive_clip;
mod autocast;
mod clip_grad_norm;
mod clip_grad_value;
mod grad_norms;
mod gradient_noise;
mod loss_scaler;
mod sam;

pub use accumulate::{Accumulate, Tail};
pub use adaptive_clip::AdaptiveClip;
pub use autocast::Autocast;
pub use clip_grad_norm::ClipGradNorm;
pub use clip_grad_value::ClipGradValue;
pub use grad_norms::GradNorms;
pub use gradient_noise::GradientNoise;
pub use loss_scaler::LossScaler;
pub use sam::Sam;
