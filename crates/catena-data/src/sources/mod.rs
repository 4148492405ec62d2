//! Where samples come from: arrays in memory, and files.
mod idx;
mod lines;
mod rows;
mod tokens;

pub use idx::{idx_pair, read_idx};
pub use lines::TextLines;
pub use rows::Rows;
pub use tokens::TokenWindows;
