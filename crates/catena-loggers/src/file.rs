//! Folders, and errors that name a file.
use std::fs;
use std::path::Path;

use crate::error::Result;

/// An error that names the file.
pub(crate) fn at(path: &Path, error: &dyn std::fmt::Display) -> catena_tensor::BoxError {
    format!("{}: {error}", path.display()).into()
}

/// Makes a folder, if it isn't there.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| at(path, &error))
}
