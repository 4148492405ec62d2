//! Data: from files to batches.
//!
//! A [`Dataset`] gives [`Sample`]s, plain arrays by name, from any number of threads at once.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod array;
mod dataset;
mod draws;
pub mod images;
mod sample;
pub mod sources;

pub use array::{Array, Element, Values};
pub use dataset::{Dataset, FromFn, from_fn};
pub use draws::Draws;
pub use sample::Sample;

/// What a data set's methods return: any error comes out with `?`.
pub type Result<T, E = catena_tensor::BoxError> = std::result::Result<T, E>;
