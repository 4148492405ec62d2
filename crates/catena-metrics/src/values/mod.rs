//! Metrics of any value: of the loss, of what a model returns, or from a closure.
pub(crate) mod closures;
pub(crate) mod statistic;

pub use closures::{BatchMetric, LoaderMetric};
pub use statistic::Statistic;
