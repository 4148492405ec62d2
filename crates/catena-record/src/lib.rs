//! A run on disk: snapshots that are whole or not there, retention, logs that are cut back at resume. It knows no tensor library,
//! so it builds in seconds and every program can read a run.
//!
//! ```text
//! RUN/checkpoints/000000000123-b/   a snapshot: see [`SnapshotName`] and [`Manifest`]
//! RUN/checkpoints/superseded/<n>/   newer ones, set aside when going on from an older one
//! RUN/crash/<time>/                 what was there at an error inside a batch
//! ```
//!
//! * [`Store`]: the snapshots of a run: writes, verifies, loads, keeps the right ones
//! * [`Writer`]: a thread that writes them
//! * [`retention`]: which ones are kept, as data
//! * [`fs`]: what stands between all this and the disk, so that faults can be injected
//! * [`testing`]: a disk in memory that crashes and loses what a real one may lose
//! * [`logs`]: files that grow line by line; [`float`]: numbers that come back from JSON exactly; [`span`]: times for people
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod error;
pub mod float;
pub mod formats;
pub mod fs;
mod hash;
mod listed;
mod load;
pub mod logs;
mod name;
pub mod retention;
mod snapshot;
pub mod span;
mod store;
pub mod tensors;
pub mod testing;
mod writer;

pub use error::{Damage, Error, Result};
pub use formats::manifest::{FORMAT, Manifest, ManifestFile};
pub use listed::Listed;
pub use load::{Loaded, TensorData, load, read_manifest, verify};
pub use name::{SafePoint, SnapshotName};
pub use snapshot::{Snapshot, TensorFile};
pub use store::{Saved, Store};
pub use writer::Writer;
