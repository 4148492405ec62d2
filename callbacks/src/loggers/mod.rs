//! Where metrics go: files, TensorBoard, servers. [`Loggers`] feeds them; each is a [`Logger`].
//!
//! | logger | writes | takes |
//! |---|---|---|
//! | [`JsonLines`] | `RUN/metrics.jsonl` | scalars |
//! | [`CsvFiles`] | `RUN/metrics/<loader>.csv` | scalars |
//!
//! No file but TensorBoard's holds what a clock says, so two equal runs write equal files, and so does a run that was killed
//! and resumed.
mod csv_files;
mod feed;
mod file;
mod json_lines;
mod logger;
mod number;
mod outbox;
mod writer;

pub use csv_files::CsvFiles;
pub use feed::Loggers;
pub use json_lines::JsonLines;
pub use logger::{Ending, Entry, Logger, Payload, RunInfo, Scalars, Scope};
pub use outbox::Outbox;
