//! Folders by their paths.
use std::path::Path;

/// Whether two paths name one folder; by their text if they do not exist.
pub(crate) fn same_folder(a: &Path, b: &Path) -> bool {
    a.components().eq(b.components())
        || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
