//! Snapshots that are moved out of a run's way: damaged ones, and those that are newer than the one it goes on from.
use std::io;
use std::path::{Path, PathBuf};

use super::{Store, TEMPORARY, create_folder, tidy};
use crate::error::{Error, Result};
use crate::formats::manifest;
use crate::fs::{FileSystem, Kind};
use crate::name::SnapshotName;

impl Store {
    /// Renames a damaged snapshot.
    pub(super) fn set_aside(&self, path: &Path) -> Result<PathBuf> {
        let mut aside = path.with_added_extension("corrupt");
        for n in 2.. {
            if self.fs.stat(&aside).is_err() {
                break;
            }
            aside = path.with_added_extension(format!("corrupt.{n}"));
        }
        move_folder(self.fs.as_ref(), path, &aside)?;
        Ok(aside)
    }

    /// Moves the snapshots that are newer than this one into `superseded/<n>`, where `n` is the first number after those that are there.
    pub fn set_newer_aside(&mut self, than: SnapshotName) -> Result<()> {
        self.begin()?;
        // also what is damaged or can't be read: none of it is a later part of the run that goes on
        let newer: Vec<SnapshotName> = self.names()?.into_iter().filter(|name| *name > than).collect();
        if newer.is_empty() {
            return Ok(());
        }
        let superseded = self.checkpoints.join("superseded");
        create_folder(self.fs.as_ref(), &superseded)?;
        let there = self.fs.list(&superseded).map_err(Error::io("can't read", &superseded))?;
        let last = there.iter().filter_map(|(name, _)| name.parse::<u64>().ok()).max().unwrap_or(0);
        let folder = superseded.join((last + 1).to_string());
        create_folder(self.fs.as_ref(), &folder)?;
        // the newest goes first: what is left at any moment is a run's beginning
        for name in newer.into_iter().rev() {
            move_folder(self.fs.as_ref(), &self.path(name), &folder.join(name.to_string()))?;
            self.forget(name);
        }
        for folder in [&folder, &superseded, &self.checkpoints] {
            self.fs.sync_folder(folder).map_err(Error::io("can't sync", folder))?;
        }
        Ok(())
    }
}

/// Gives a folder of plain files another name. Where that is not possible, as in a lower layer of an overlay, it is copied, and removed when the copy
/// is whole. What is gone is gone.
fn move_folder(fs: &dyn FileSystem, from: &Path, to: &Path) -> Result<()> {
    match fs.rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs.stat(from).is_err() => return Ok(()),
        renamed => return renamed.map_err(Error::io("can't move", from)),
    }
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let copy = from.with_file_name(format!("{TEMPORARY}{name}"));
    tidy::remove(fs, &copy)?;
    create_folder(fs, &copy)?;
    for (name, kind) in fs.list(from).map_err(Error::io("can't read", from))? {
        if kind == Kind::File {
            copy_file(fs, &from.join(&name), &copy.join(&name))
                .map_err(Error::io("can't copy", &from.join(&name)))?;
        }
    }
    fs.sync_folder(&copy).map_err(Error::io("can't sync", &copy))?;
    fs.rename(&copy, to).map_err(Error::io("can't move", from))?;
    // without its manifest what is left is no snapshot
    let contents = from.join(manifest::NAME);
    match fs.remove_file(&contents) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("can't remove", &contents)(error));
        }
        _ => {}
    }
    if let Err(error) = tidy::remove(fs, from) {
        log::warn!(
            "{} was copied to {}, and could not be removed whole: {error}",
            from.display(),
            to.display()
        );
    }
    Ok(())
}

fn copy_file(fs: &dyn FileSystem, from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (fs.open(from)?, fs.create(to)?);
    io::copy(&mut from, &mut to)?;
    to.sync()
}
