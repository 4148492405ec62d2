//! What is not kept goes. Nothing here ends a run: what is gone is gone, and what can't be removed is told once and tried again. Only files that
//! catena writes are removed.
use std::io;
use std::path::{Path, PathBuf};

use super::{Store, TEMPORARY, create_folder};
use crate::error::{Error, Result};
use crate::formats::{manifest, state};
use crate::fs::{FileSystem, Kind};
use crate::name::SnapshotName;
use crate::retention::Retention;
use crate::snapshot::Snapshot;

impl Store {
    /// Removes what retention does not keep.
    pub fn apply(&mut self, retention: &Retention) -> Result<()> {
        let doomed = retention.doomed(&self.listed);
        if !doomed.is_empty() {
            self.begin()?;
            // a newer one whose save failed at its last call may not be durable
            self.sync_names()?;
            let mut all_gone = Vec::new();
            for name in doomed {
                all_gone.extend(self.take_name(name));
            }
            self.clear(all_gone)?;
        }
        for path in Self::aside_to_go(&self.run, self.fs.as_ref(), retention) {
            self.clear_aside(&path);
        }
        self.try_again();
        Ok(())
    }

    /// The folders in `crash/` and `checkpoints/superseded/` that retention does not keep, by their paths in the run directory: all but the newest.
    pub fn aside_to_go(run: &Path, fs: &dyn FileSystem, retention: &Retention) -> Vec<String> {
        let crashes = numbered(fs, run, "crash", retention.crashes, is_time);
        let superseded = numbered(fs, run, "checkpoints/superseded", retention.superseded, is_number);
        crashes.into_iter().chain(superseded).collect()
    }

    /// Takes a snapshot's name from what retention does not keep: a snapshot that is half removed is none. Gives what is left to be removed.
    fn take_name(&mut self, name: SnapshotName) -> Option<PathBuf> {
        let path = self.path(name);
        let gone = self.free_path(&format!("{TEMPORARY}{name}.gone"));
        match self.fs.rename(&path, &gone) {
            Ok(()) => {
                self.listed.retain(|listed| listed.name != name);
                Some(gone)
            }
            // somebody was faster
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.listed.retain(|listed| listed.name != name);
                None
            }
            // a folder of a lower layer of an overlay can't be renamed, but removed; without its manifest it is none
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.listed.retain(|listed| listed.name != name);
                match self.fs.remove_file(&path.join(manifest::NAME)) {
                    Ok(()) => Some(path),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Some(path),
                    Err(error) => {
                        self.tell_left(&path, &error.to_string());
                        None
                    }
                }
            }
            // it stays a snapshot, and is tried again when the next one is taken
            Err(error) => {
                self.tell_left(&path, &error.to_string());
                None
            }
        }
    }

    /// Removes folders among the snapshots that are none. That they are none is made durable first: a crash could else bring back a
    /// snapshot's name, with half of its files.
    pub(super) fn clear(&mut self, folders: Vec<PathBuf>) -> Result<()> {
        if folders.is_empty() {
            return Ok(());
        }
        self.sync_names()?;
        for folder in folders {
            if let Err(error) = remove(self.fs.as_ref(), &folder) {
                self.tell_left(&folder, &error.to_string());
            }
        }
        Ok(())
    }

    /// Tells once of what can't be removed.
    fn tell_left(&mut self, folder: &Path, why: &str) {
        if !self.left.iter().any(|left| left == folder) {
            log::warn!("{} can't be removed, which is tried again: {why}", folder.display());
            self.left.push(folder.to_owned());
        }
    }

    /// Tries again to remove what could not be. A snapshot that could not even lose its name is not among these folders: retention finds it again.
    fn try_again(&mut self) {
        let fs = self.fs.clone();
        let is_left = |folder: &PathBuf| {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_snapshot = self.listed.iter().any(|listed| listed.name.to_string() == name);
            is_snapshot || remove(fs.as_ref(), folder).is_err()
        };
        self.left.retain(is_left);
    }

    fn clear_aside(&mut self, path: &str) {
        let path = self.run.join(path);
        if let Err(error) = remove_with_snapshots(self.fs.as_ref(), &path) {
            self.tell_left(&path, &error.to_string());
        }
    }

    /// A name for a folder that is not there: this, or if what has it can't be removed, this and a number.
    pub(super) fn free_name(&mut self, name: &str) -> Result<PathBuf> {
        let path = self.checkpoints.join(name);
        if self.fs.stat(&path).is_ok() {
            self.clear(vec![path])?;
        }
        Ok(self.free_path(name))
    }

    /// A path among the snapshots that nothing has.
    fn free_path(&self, name: &str) -> PathBuf {
        let names = std::iter::once(name.to_owned()).chain((2u64..).map(|n| format!("{name}.{n}")));
        let mut paths = names.map(|name| self.checkpoints.join(name));
        paths.find(|path| self.fs.stat(path).is_err()).unwrap_or_else(|| self.checkpoints.join(name))
    }

    /// Writes what was there at an error into `crash/<name>`, which is never gone on from, and removes older ones that are not kept.
    pub fn save_crash(&mut self, snapshot: &Snapshot, name: &str, retention: &Retention) -> Result<PathBuf> {
        let (crash, fs) = (self.run.join("crash"), self.fs.clone());
        create_folder(fs.as_ref(), &crash)?;
        let (path, temporary) = (crash.join(name), crash.join(format!("{TEMPORARY}{name}")));
        // a kill may have left some
        for (name, _) in fs.list(&crash).map_err(Error::io("can't read", &crash))? {
            if name.strip_prefix(TEMPORARY).is_some_and(is_time) {
                remove(fs.as_ref(), &crash.join(name))?;
            }
        }
        let Snapshot { name, stage, measured, stopped, .. } = snapshot;
        let (stage, measured) = (stage.clone(), measured.clone());
        let listed = super::Listed { name: *name, sequence: 0, stage, measured, stopped: *stopped };
        self.write(snapshot, &listed, &temporary, &path)?;
        for folder in [&crash, &self.run] {
            fs.sync_folder(folder).map_err(Error::io("can't sync", folder))?;
        }
        for path in numbered(fs.as_ref(), &self.run, "crash", retention.crashes, is_time) {
            self.clear_aside(&path);
        }
        Ok(path)
    }
}

/// Whether a folder among the snapshots is one that a save or a removal left when it was cut short, by its whole name.
pub(super) fn is_left_over(name: &str) -> bool {
    name.strip_prefix(TEMPORARY).is_some_and(|rest| {
        let (snapshot, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let mut ends = rest.split('.').filter(|end| !end.is_empty());
        snapshot.parse::<SnapshotName>().is_ok()
            && ends.all(|end| end == "gone" || end.parse::<u64>().is_ok())
    })
}

/// Whether a file of a snapshot is one that catena writes.
fn is_own_file(name: &str) -> bool {
    name == manifest::NAME || name == state::NAME || name.ends_with(".safetensors")
}

/// All but the newest folders in a folder whose names are numbers or times, oldest first.
fn numbered(
    fs: &dyn FileSystem,
    run: &Path,
    folder: &str,
    kept: usize,
    is_own: fn(&str) -> bool,
) -> Vec<String> {
    // without the folder there is nothing to remove
    let Ok(entries) = fs.list(&run.join(folder)) else { return Vec::new() };
    let own = entries.into_iter().filter(|(name, kind)| *kind == Kind::Folder && is_own(name));
    let mut names: Vec<String> = own.map(|(name, _)| name).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names.truncate(names.len().saturating_sub(kept));
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

/// The name of a folder in `crash/`: a time such as `20260102T030405.678Z`.
fn is_time(name: &str) -> bool {
    let form = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
    form.eq("00000000T000000.000Z".chars())
}

/// The name of a folder in `superseded/`.
fn is_number(name: &str) -> bool {
    name.parse::<u64>().is_ok_and(|n| n.to_string() == name)
}

/// Removes a folder of a snapshot's files, or a link of that name, if it is there. What catena did not write stays, and so does the folder then:
/// an error. Links are not followed.
pub(super) fn remove(fs: &dyn FileSystem, folder: &Path) -> Result<()> {
    remove_folder(fs, folder, |name, kind| kind == Kind::File && is_own_file(name))
}

/// As [`remove`], of a folder that may have snapshots in it.
fn remove_with_snapshots(fs: &dyn FileSystem, folder: &Path) -> Result<()> {
    let entries = match fs.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("can't remove", folder))?,
    };
    for (name, kind) in entries {
        let is_snapshot = name.split('.').next().is_some_and(|name| name.parse::<SnapshotName>().is_ok());
        if kind == Kind::Folder && is_snapshot {
            remove(fs, &folder.join(name))?;
        }
    }
    remove(fs, folder)
}

fn remove_folder(fs: &dyn FileSystem, folder: &Path, goes: impl Fn(&str, Kind) -> bool) -> Result<()> {
    let gone_or = |result: io::Result<()>, path: &Path| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(Error::io("can't remove", path)),
    };
    match fs.stat(folder) {
        Ok((Kind::Folder, _)) => {}
        Ok(_) => return gone_or(fs.remove_file(folder), folder),
        Err(error) => return gone_or(Err(error), folder),
    }
    let entries = match fs.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("can't remove", folder))?,
    };
    let mut others = Vec::new();
    for (name, kind) in entries {
        if goes(&name, kind) {
            gone_or(fs.remove_file(&folder.join(&name)), &folder.join(&name))?;
        } else {
            others.push(name);
        }
    }
    if others.is_empty() {
        return gone_or(fs.remove_folder(folder), folder);
    }
    let others = format!("{} in it is none of catena's files", others.join(", "));
    Err(Error::io("can't remove", folder)(io::Error::other(others)))
}
