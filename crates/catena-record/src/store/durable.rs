//! What is made durable before a snapshot that relies on it.
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::Store;
use crate::error::{Error, Result};
use crate::formats::timing;
use crate::logs::Marks;

impl Store {
    /// Makes the logs durable that a snapshot names, so that it never names more than there is. What else lies in the run directory is not
    /// catena's. A log that somebody removes at this moment is begun anew at its next row.
    pub(super) fn sync_logs(&self, logs: &Marks) -> Result<()> {
        let mut folders = BTreeSet::from([self.run.clone()]);
        let paths: Vec<PathBuf> = logs.keys().map(|path| self.run.join(path)).collect();
        for path in paths.iter().chain([&self.run.join(timing::NAME)]) {
            match self.fs.sync_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                synced => synced.map_err(Error::io("can't sync", path))?,
            }
            folders.extend(path.parent().map(PathBuf::from));
        }
        // a new log's name too
        for folder in folders {
            match self.fs.sync_folder(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced.map_err(Error::io("can't sync", &folder))?,
            }
        }
        Ok(())
    }

    /// Makes the names in the folder of snapshots durable.
    pub(super) fn sync_names(&self) -> Result<()> {
        self.fs.sync_folder(&self.checkpoints).map_err(Error::io("can't sync", &self.checkpoints))
    }
}
