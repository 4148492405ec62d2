//! Where samples come from: arrays in memory, and files.
mod cifar;
mod csv;
mod idx;
mod image_files;
mod image_folder;
mod lines;
mod masked_images;
mod npy;
mod rows;
mod tokens;

pub use cifar::Cifar;
pub use csv::{Csv, CsvBuilder};
pub use idx::{idx_pair, read_idx};
pub use image_folder::{ImageFolder, ImageFolderBuilder};
pub use lines::TextLines;
pub use masked_images::MaskedImages;
pub use npy::read_npy;
pub use rows::Rows;
pub use tokens::TokenWindows;
