//! Where metrics go: files, TensorBoard, servers. Each is a [`Logger`]; the callback `Loggers` of catena feeds them.
//!
//! | logger | writes | takes |
//! |---|---|---|
//! | [`JsonLines`] | `RUN/metrics.jsonl` | scalars, arrays as lists |
//! | [`CsvFiles`] | `RUN/metrics/<loader>.csv` | scalars |
//! | `TensorBoard` (feature `tensorboard`) | `RUN/tensorboard/` | all but artifacts; arrays as pictures and scalars |
//! | `Mlflow` (feature `mlflow`) | to a tracking server | all but histograms; arrays as pictures and metrics |
//!
//! A logger of your own for another server is a `remote::Service` (feature `http`): the queue, the pauses and the backlog are those of `Mlflow`.
//!
//! No file but TensorBoard's holds what a clock says, so two equal runs write equal files, and so does a run that was killed
//! and resumed.
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod array;
mod csv_files;
mod error;
mod file;
mod histogram;
mod image;
mod json_lines;
mod logger;
#[cfg(feature = "mlflow")]
mod mlflow;
mod payload;
#[cfg(feature = "http")]
pub mod remote;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use array::{Array, Shown};
pub use csv_files::CsvFiles;
pub use error::Result;
pub use histogram::Histogram;
pub use image::Image;
pub use json_lines::JsonLines;
pub use logger::{Ending, Entry, Logger, Position, RunInfo, Scope};
#[cfg(all(fuzzing, feature = "mlflow"))]
pub use mlflow::fuzzing;
#[cfg(feature = "mlflow")]
pub use mlflow::{Mlflow, MlflowServer};
pub use payload::{Params, Payload, Scalars};
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
