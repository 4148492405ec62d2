//! Where metrics go: files, TensorBoard, servers. [`Loggers`] feeds them; each is a [`Logger`].
//!
//! | logger | writes | takes |
//! |---|---|---|
//! | [`JsonLines`] | `RUN/metrics.jsonl` | scalars, arrays as lists |
//! | [`CsvFiles`] | `RUN/metrics/<loader>.csv` | scalars |
//! | [`TensorBoard`] | `RUN/tensorboard/` | all but artifacts; arrays as pictures and scalars |
//! | [`Mlflow`] | to a tracking server | all but histograms; arrays as pictures and metrics |
//!
//! No file but TensorBoard's holds what a clock says, so two equal runs write equal files, and so does a run that was killed
//! and resumed.
mod array;
mod csv_files;
mod feed;
mod file;
mod histogram;
mod image;
mod json_lines;
mod logger;
mod mlflow;
mod number;
mod outbox;
mod payload;
mod tensorboard;
mod writer;

pub use array::Array;
pub use csv_files::CsvFiles;
pub use feed::Loggers;
pub use histogram::Histogram;
pub use image::Image;
pub use json_lines::JsonLines;
pub use logger::{Ending, Entry, Logger, Position, RunInfo, Scope};
pub use mlflow::Mlflow;
#[cfg(fuzzing)]
pub use mlflow::fuzzing;
pub use outbox::Outbox;
pub use payload::{Params, Payload, Scalars};
pub use tensorboard::TensorBoard;
