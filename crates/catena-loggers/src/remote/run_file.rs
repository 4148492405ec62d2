//! Which run of the server a run directory belongs to: `mlflow.json`, and its like for other services.
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use catena_record::logs::LogFile;
use serde::{Deserialize, Serialize};

/// The file's name in the run directory.
pub(super) fn name(logger: &str) -> String {
    format!("{}.json", logger.to_lowercase())
}

/// An id that no other run has: 32 hexadecimal digits, from the randomness that the standard library takes from the system.
pub(super) fn new_id() -> String {
    let random = || RandomState::new().hash_one(std::time::SystemTime::now());
    format!("{:016x}{:016x}", random(), random())
}

/// The run at the server, and the directory that it was made for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunFile {
    server: String,
    run_id: String,
    /// Where the run directory was.
    #[serde(default)]
    directory: PathBuf,
    /// By which a directory that was moved is told from one that was copied.
    #[serde(default)]
    inode: u64,
}

impl RunFile {
    pub(super) fn new(server: &str, run_id: &str, dir: &Path) -> Self {
        let (server, run_id) = (server.into(), run_id.into());
        let directory = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        Self { server, run_id, directory, inode: inode(dir) }
    }

    /// Writes it; what can't be written is a warning.
    pub(super) fn write(&self, logger: &str, dir: &Path) {
        let path = dir.join(name(logger));
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = LogFile::replace(&path, &text) {
            log::warn!("{logger}: the run's id can't be kept: {error}");
        }
    }

    /// What a directory has; that it can't be read is a warning.
    fn read(logger: &str, dir: &Path) -> Option<Self> {
        let path = dir.join(name(logger));
        let text = fs::read(&path).ok()?;
        let read = serde_json::from_slice(&text);
        read.inspect_err(|error| log::warn!("{logger}: {} can't be read: {error}", path.display())).ok()
    }

    /// The run that a directory goes on with: the one that it has, or else the one that the snapshot knows. A copy of a directory that is still there
    /// has none: two would write into one run.
    pub(crate) fn find(logger: &str, dir: &Path, known: Option<String>) -> Option<String> {
        let Some(own) = Self::read(logger, dir) else { return known };
        let is_elsewhere = dir.canonicalize().is_ok_and(|here| here != own.directory);
        if own.inode != inode(dir) && is_elsewhere && inode(&own.directory) == own.inode {
            log::warn!(
                "{logger}: {} is a copy of {}, whose run is {}; a new run is made for it, which begins here",
                dir.display(),
                own.directory.display(),
                own.run_id
            );
            return None;
        }
        Some(own.run_id)
    }
}

#[cfg(unix)]
fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |meta| meta.ino())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> u64 {
    0
}
