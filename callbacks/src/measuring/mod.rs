//! What measures: metrics over loaders.
mod accuracy;
mod aggregate;
mod measure;
mod over_loader;

pub use accuracy::Accuracy;
pub use aggregate::{Aggregate, Combine, CombineNumbers};
pub use measure::{Measure, MeasuredTensors};
