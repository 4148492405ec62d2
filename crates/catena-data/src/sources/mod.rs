//! Where samples come from: arrays in memory, and files.
mod idx;
mod rows;

pub use idx::{idx_pair, read_idx};
pub use rows::Rows;
