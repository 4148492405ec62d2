//! The snapshots of a run.
mod aside;
mod durable;
mod tidy;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fs::{FileSystem, Kind};
use crate::listed::Listed;
use crate::load::{Loaded, load, read_manifest};
use crate::name::SnapshotName;
use crate::retention::Retention;
use crate::snapshot::Snapshot;

/// The snapshots of a run, in a run directory that this process has locked.
///
/// ```
/// use std::sync::Arc;
/// use catena_record::{SafePoint, Snapshot, SnapshotName, Store, fs::Os, retention::Retention};
///
/// let dir = tempfile::tempdir()?;
/// let mut store = Store::open(dir.path(), Arc::new(Os))?;
/// let snapshot = Snapshot {
///     name: SnapshotName { global_batch: 7, point: SafePoint::Batch },
///     stage: "train".into(),
///     time: "2026-01-01T00:00:00Z".into(),
///     why: vec!["7 batches".into()],
///     measured: Default::default(),
///     stopped: false,
///     logs: Default::default(),
///     state: b"{}".to_vec(),
///     files: vec![],
///     buffer: vec![],
/// };
/// store.save(&snapshot, &Retention::default())?;
/// let newest = store.load_newest()?.unwrap();
/// assert!(newest.path.ends_with("checkpoints/000000000007-b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    fs: Arc<dyn FileSystem>,
    run: PathBuf,
    checkpoints: PathBuf,
    listed: Vec<Listed>,
    sequence: u64,
    /// Snapshots that were found damaged, and why; they are where they were until [`Store::begin`].
    damaged: Vec<(SnapshotName, String)>,
    /// Folders that are none of the run's any more and could not be removed: tried again.
    left: Vec<PathBuf>,
    has_begun: bool,
    // held for as long as the store lives; a killed process leaves no lock
    _lock: Option<File>,
}

/// What a save came to.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// The bytes that were written; 0 if a snapshot of this name was there.
    pub bytes: u64,
    /// How long it took.
    pub time: Duration,
}

impl Store {
    /// Makes the run directory if it is missing, locks it, and looks at what is there. Nothing else is changed before [`Store::begin`].
    pub fn open(run: &Path, fs: Arc<dyn FileSystem>) -> Result<Self> {
        make_durably(run).map_err(Error::io("can't make", run))?;
        let at = run.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&at);
        let lock = lock.map_err(Error::io("can't open", &at))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: run.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(Error::io("can't lock", &at)(error)),
        }
        Self::with_lock(run, fs, Some(lock))
    }

    /// As [`Store::open`], on a file system that has the run directory and needs no lock, such as a test's.
    pub fn unlocked(run: &Path, fs: Arc<dyn FileSystem>) -> Result<Self> {
        Self::with_lock(run, fs, None)
    }

    fn with_lock(run: &Path, fs: Arc<dyn FileSystem>, lock: Option<File>) -> Result<Self> {
        let (run, checkpoints) = (run.to_owned(), run.join("checkpoints"));
        let (listed, damaged) = (Vec::new(), Vec::new());
        let (sequence, has_begun) = (0, false);
        let left = Vec::new();
        let mut store =
            Self { fs, run, checkpoints, listed, sequence, damaged, left, has_begun, _lock: lock };
        store.look()?;
        Ok(store)
    }

    /// The run begins or goes on: makes the folder of snapshots if it is missing, removes left-overs of a save that was cut short, and sets
    /// aside what was found damaged. Whatever writes calls it first.
    pub fn begin(&mut self) -> Result<()> {
        if !self.has_begun {
            create_folder(self.fs.as_ref(), &self.checkpoints)?;
            self.fs.sync_folder(&self.run).map_err(Error::io("can't sync", &self.run))?;
            let names = self.entries()?;
            let left_over = names.iter().filter(|(name, _)| tidy::is_left_over(name));
            let left_over: Vec<PathBuf> = left_over.map(|(name, _)| self.checkpoints.join(name)).collect();
            self.clear(left_over)?;
            self.has_begun = true;
        }
        while let Some((name, why)) = self.damaged.first().cloned() {
            let path = self.path(name);
            let aside = self.set_aside(&path)?;
            // it has its new name now, durable or not
            self.damaged.remove(0);
            log::warn!("{} is damaged: {why}; it is now {}", path.display(), aside.display());
            self.sync_names()?;
        }
        Ok(())
    }

    /// Snapshots that were found damaged since the store was opened, and why: they were passed over, and [`Store::begin`] sets them aside.
    pub fn damaged(&self) -> &[(SnapshotName, String)] {
        &self.damaged
    }

    /// What is in the folder of snapshots; nothing if there is none yet.
    fn entries(&self) -> Result<Vec<(String, Kind)>> {
        match self.fs.list(&self.checkpoints) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(Error::io("can't read", &self.checkpoints)),
        }
    }

    /// Reads the tables of contents. What is damaged is left where it is, for [`Store::load_newest`] to judge; what can't be read is
    /// an error, as it may be whole.
    fn look(&mut self) -> Result<()> {
        let names = self.entries()?;
        self.listed.clear();
        for name in names.iter().filter_map(|(name, _)| name.parse::<SnapshotName>().ok()) {
            let manifest = match read_manifest(self.fs.as_ref(), &self.path(name)) {
                Ok(manifest) => manifest,
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(_) => continue,
            };
            self.sequence = self.sequence.max(manifest.sequence);
            let (sequence, stage, stopped) = (manifest.sequence, manifest.stage, manifest.stopped);
            self.listed.push(Listed { name, sequence, stage, measured: manifest.measured, stopped });
        }
        self.listed.sort_by_key(|listed| listed.name);
        Ok(())
    }

    /// The run directory.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// A snapshot's folder.
    pub fn path(&self, name: SnapshotName) -> PathBuf {
        self.checkpoints.join(name.to_string())
    }

    /// The snapshots that are there, oldest first.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Whether the run directory holds anything that is, or was, a snapshot.
    pub fn holds_snapshots(&self) -> Result<bool> {
        Ok(self
            .entries()?
            .iter()
            .any(|(name, _)| name.split('.').next().is_some_and(|n| n.parse::<SnapshotName>().is_ok())))
    }

    /// Writes a snapshot and makes it durable, the logs before it; then removes those that retention does not keep. One of the
    /// same name is never overwritten: it is the same state, and nothing is done.
    pub fn save(&mut self, snapshot: &Snapshot, retention: &Retention) -> Result<Saved> {
        let started = Instant::now();
        self.begin()?;
        if self.listed.iter().any(|listed| listed.name == snapshot.name) {
            // a save before may have failed at this very call
            self.sync_names()?;
            return Ok(Saved { bytes: 0, time: started.elapsed() });
        }
        self.sync_logs(&snapshot.logs)?;
        let temporary = self.free_name(&format!("{TEMPORARY}{}", snapshot.name))?;
        let (name, stage, sequence) = (snapshot.name, snapshot.stage.clone(), self.sequence + 1);
        let (measured, stopped) = (snapshot.measured.clone(), snapshot.stopped);
        let listed = Listed { name, sequence, stage, measured, stopped };
        let bytes = self.write(snapshot, &listed, &temporary, &self.path(name))?;
        // it is there now, durable or not
        self.sequence = sequence;
        self.listed.push(listed);
        self.listed.sort_by_key(|listed| listed.name);
        self.sync_names()?;
        self.apply(retention)?;
        Ok(Saved { bytes, time: started.elapsed() })
    }

    /// Writes a folder and gives it its name, or clears it away.
    fn write(&self, snapshot: &Snapshot, listed: &Listed, temporary: &Path, path: &Path) -> Result<u64> {
        let fs = self.fs.as_ref();
        fs.create_folder(temporary).map_err(Error::io("can't make", temporary))?;
        let rename = |bytes| match fs.rename(temporary, path) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(Error::io("can't rename to", path)(error)),
        };
        snapshot.write(fs, temporary, listed).and_then(rename).inspect_err(|_| {
            if let Err(error) = tidy::remove(fs, temporary) {
                log::warn!("a snapshot that failed could not be cleared away: {error}");
            }
        })
    }

    /// The names of snapshots that are on the disk, whole or not, oldest first.
    fn names(&self) -> Result<Vec<SnapshotName>> {
        let names = self.entries()?;
        let mut names: Vec<SnapshotName> = names.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The newest snapshot that is whole. Damaged ones are passed over: [`Store::begin`] renames them `*.corrupt` with a warning that says
    /// why. One that can't be read, or that a later version wrote, is an error.
    pub fn load_newest(&mut self) -> Result<Option<Loaded>> {
        self.load_newest_of(|_| true)
    }

    /// As [`Store::load_newest`], of those that are older than this one.
    pub fn load_newest_before(&mut self, name: SnapshotName) -> Result<Option<Loaded>> {
        self.load_newest_of(|older| older < name)
    }

    fn load_newest_of(&mut self, counts: impl Fn(SnapshotName) -> bool) -> Result<Option<Loaded>> {
        for name in self.names()?.into_iter().rev().filter(|name| counts(*name)) {
            match load(self.fs.as_ref(), &self.path(name)) {
                Ok(loaded) => return Ok(Some(loaded)),
                Err(Error::Damaged { path: _, damage }) => {
                    self.forget(name);
                    if self.damaged.iter().all(|(known, _)| *known != name) {
                        self.damaged.push((name, damage.to_string()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A snapshot is none of this run's any more: the next one is counted from those that are left, as after opening them anew.
    fn forget(&mut self, name: SnapshotName) {
        self.listed.retain(|listed| listed.name != name);
        self.sequence = self.listed.iter().map(|listed| listed.sequence).max().unwrap_or(0);
    }

    /// A snapshot, if it is whole.
    pub fn load(&self, name: SnapshotName) -> Result<Loaded> {
        load(self.fs.as_ref(), &self.path(name))
    }
}

/// What the names of folders begin with that are no snapshots, or not yet.
pub(crate) const TEMPORARY: &str = ".tmp-";

fn create_folder(fs: &dyn FileSystem, path: &Path) -> Result<()> {
    match fs.create_folder(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("can't make", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a folder and those that it is in, as far as they are missing, and makes their names durable.
fn make_durably(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    make_durably(parent)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => return Err(error),
        _ => {}
    }
    File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()
}

#[cfg(test)]
mod tests;
