//! What a run directory is, to those who are given a path.
use std::path::Path;

use crate::failure::{Failure, Result};

/// What to do about a path that is none.
pub(crate) const HINT: &str = "give the directory that the run was started with";

/// Refuses what is no directory, and a checkpoint's folder.
pub(crate) fn check(path: &Path) -> Result<()> {
    let at = path.display();
    if !path.is_dir() {
        return Err(Failure::Usage(format!("there is no directory {at}; {HINT}")));
    }
    if path.join("manifest.json").is_file() {
        return Err(Failure::Usage(format!("{at} is a checkpoint, not a run directory; {HINT}")));
    }
    Ok(())
}

/// Refuses too what has none of these parts of a run.
pub(crate) fn check_parts(path: &Path, parts: &[&str]) -> Result<()> {
    check(path)?;
    if !parts.iter().any(|part| path.join(part).exists()) {
        let (at, none) = (path.display(), parts.join(", "));
        return Err(Failure::Usage(format!("{at} is no run directory: it has none of {none}; {HINT}")));
    }
    Ok(())
}
