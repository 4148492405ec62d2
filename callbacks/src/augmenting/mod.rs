//! What changes a batch before the model sees it.
mod gaussian_noise;

pub use gaussian_noise::GaussianNoise;
