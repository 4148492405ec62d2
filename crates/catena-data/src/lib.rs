//! Data: from files to batches.
//!
//! A [`Dataset`] gives [`Sample`]s, plain arrays by name, from any number of threads at once; a [`DataLoader`] makes batches of them, in an
//! [`Order`](order::Order).
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod array;
mod collate;
mod dataset;
mod draws;
pub mod images;
mod loader;
pub mod order;
mod sample;
mod slot;
pub mod sources;

pub use array::{Array, Element, Values};
pub use collate::{Collate, Collated};
pub use dataset::{Dataset, FromFn, from_fn};
pub use draws::Draws;
pub use loader::{DataLoader, OnError};
pub use sample::Sample;
pub use slot::Slot;

/// What a data set's methods return: any error comes out with `?`.
pub type Result<T, E = catena_tensor::BoxError> = std::result::Result<T, E>;

/// Settings by name, as data.
pub type Settings = serde_json::Map<String, serde_json::Value>;
