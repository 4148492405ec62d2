//! A disk in memory that loses what a real one may lose: for tests of what survives a fault.
//!
//! It follows what POSIX promises and no more. A file's bytes are durable once the file is synced; a name (made, changed or removed) is
//! durable once the folder that holds it is synced. What is not durable may be there after a crash, or may not: [`Loss`] says what goes.
mod disk;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Amount, Disk, Node};

use crate::fs::{FileSystem, Kind, WriteFile};

/// A disk in memory. Clones are the same disk.
///
/// ```
/// use std::path::Path;
/// use catena_record::fs::FileSystem;
/// use catena_record::testing::{Fault, Loss, MemoryFileSystem};
///
/// let disk = MemoryFileSystem::default();
/// disk.create_folder(Path::new("/run"))?;
/// assert_eq!(disk.list(Path::new("/"))?.len(), 1);
/// disk.plan(0, Fault::CrashBefore);
/// assert!(disk.sync_folder(Path::new("/")).is_err());
/// disk.restart(Loss::EVERYTHING);
/// assert!(disk.list(Path::new("/"))?.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryFileSystem {
    disk: Arc<Mutex<Disk>>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails; the next one works.
    Fail(io::ErrorKind),
    /// It and all that follow do nothing and fail, until [`MemoryFileSystem::mend`] or [`MemoryFileSystem::restart`].
    Broken(io::ErrorKind),
    /// It has its effect, a write half of it, and fails.
    Late(io::ErrorKind),
    /// A read or a write does half of what was asked for and says so.
    Short,
    /// The machine stops before it.
    CrashBefore,
    /// The machine stops in the middle of a write.
    CrashAmid,
    /// The machine stops after it.
    CrashAfter,
}

/// What a crash takes of that which is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The files' bytes.
    pub bytes: Bytes,
    /// Whether changes of the names of files are lost.
    pub file_names: bool,
    /// Whether changes of the names of folders are lost.
    pub folder_names: bool,
}

/// What becomes of bytes that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// They are there.
    Kept,
    /// The file is what it was when it was synced last: empty if it never was.
    Lost,
    /// The file has its size, but zeros where they should be.
    Zeros,
}

impl Loss {
    /// All is as if it were durable.
    pub const NOTHING: Self = Self { bytes: Bytes::Kept, file_names: false, folder_names: false };

    /// What is not durable is gone.
    pub const EVERYTHING: Self = Self { bytes: Bytes::Lost, file_names: true, folder_names: true };

    /// Every combination.
    pub fn all() -> impl Iterator<Item = Self> {
        let names = [(false, false), (false, true), (true, false), (true, true)];
        [Bytes::Kept, Bytes::Lost, Bytes::Zeros].into_iter().flat_map(move |bytes| {
            names.into_iter().map(move |(file_names, folder_names)| Self { bytes, file_names, folder_names })
        })
    }
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method's name: `create`, `write`, `sync_folder`, ….
    pub what: &'static str,
    /// On what; for `rename` the new name.
    pub path: PathBuf,
}

impl MemoryFileSystem {
    /// Lets a fault happen at the n-th call from now, from 0. What was planned before is forgotten, and the calls are counted anew.
    pub fn plan(&self, call: usize, fault: Fault) {
        let mut disk = self.disk();
        disk.calls.clear();
        disk.plan = Some((call, fault));
    }

    /// Forgets the plan and the calls, and lets a broken disk work again.
    pub fn mend(&self) {
        let mut disk = self.disk();
        (disk.plan, disk.broken) = (None, None);
        disk.calls.clear();
    }

    /// The calls since the last plan, [`mend`](MemoryFileSystem::mend) or restart.
    pub fn calls(&self) -> Vec<Call> {
        self.disk().calls.clone()
    }

    /// A crash, if there has been none, and the start after it, with what is left.
    pub fn restart(&self, loss: Loss) {
        let mut disk = self.disk();
        disk.lose(loss);
        (disk.plan, disk.broken) = (None, None);
        disk.calls.clear();
        disk.starts += 1;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(
        &self,
        what: &'static str,
        path: &Path,
        act: impl FnOnce(&mut Disk, Amount) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.disk();
        if let Some(kind) = disk.broken {
            return Err(kind.into());
        }
        let number = disk.calls.len();
        disk.calls.push(Call { what, path: path.to_owned() });
        let fault = disk.plan.filter(|(call, _)| *call == number).map(|(_, fault)| fault);
        match fault {
            None => act(&mut disk, Amount::Whole),
            Some(Fault::Short) => act(&mut disk, Amount::Half),
            Some(Fault::Fail(kind)) => Err(kind.into()),
            Some(Fault::Late(kind)) => act(&mut disk, Amount::Half).and(Err(kind.into())),
            Some(Fault::Broken(kind)) => disk.down(kind),
            Some(Fault::CrashBefore) => disk.down(io::ErrorKind::HostUnreachable),
            Some(Fault::CrashAmid) => {
                act(&mut disk, Amount::Half).and(disk.down(io::ErrorKind::HostUnreachable))
            }
            Some(Fault::CrashAfter) => {
                act(&mut disk, Amount::Whole).and(disk.down(io::ErrorKind::HostUnreachable))
            }
        }
    }
}

/// An open file.
struct Open {
    memory: MemoryFileSystem,
    path: PathBuf,
    node: usize,
    start: u64,
    at: usize,
}

impl Open {
    fn call<T>(
        &mut self,
        what: &'static str,
        act: impl FnOnce(&mut Disk, usize, Amount) -> io::Result<T>,
    ) -> io::Result<T> {
        let (node, start) = (self.node, self.start);
        self.memory.call(what, &self.path, |disk, amount| {
            if disk.starts != start {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            act(disk, node, amount)
        })
    }
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call("write", |disk, node, amount| {
            let written = amount.of(bytes.len());
            if let Node::File { now, .. } = &mut disk.nodes[node] {
                now.extend_from_slice(&bytes[..written]);
            }
            Ok(written)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for Open {
    fn sync(&mut self) -> io::Result<()> {
        self.call("sync", |disk, node, _| {
            disk.sync(node);
            Ok(())
        })
    }
}

impl Read for Open {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let read = self.call("read", |disk, node, amount| {
            let Node::File { now, .. } = &disk.nodes[node] else {
                return Err(io::ErrorKind::IsADirectory.into());
            };
            let left = now.get(at..).unwrap_or_default();
            let read = amount.of(left.len().min(into.len()));
            into[..read].copy_from_slice(&left[..read]);
            Ok(read)
        })?;
        self.at += read;
        Ok(read)
    }
}

impl FileSystem for MemoryFileSystem {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call("create_folder", path, |disk, _| disk.add(path, Node::folder()).map(drop))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let empty = Node::file();
        let (node, start) = self.call("create", path, |disk, _| Ok((disk.add(path, empty)?, disk.starts)))?;
        Ok(Box::new(Open { memory: self.clone(), path: path.to_owned(), node, start, at: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let (node, start) = self.call("open", path, |disk, _| Ok((disk.find(path)?, disk.starts)))?;
        Ok(Box::new(Open { memory: self.clone(), path: path.to_owned(), node, start, at: 0 }))
    }

    fn stat(&self, path: &Path) -> io::Result<(Kind, u64)> {
        self.call("stat", path, |disk, _| {
            Ok(match &disk.nodes[disk.find(path)?] {
                Node::File { now, .. } => (Kind::File, now.len() as u64),
                Node::Folder { .. } => (Kind::Folder, 0),
            })
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, Kind)>> {
        self.call("list", path, |disk, _| {
            let names = disk.names(path)?.clone();
            let kind = |node: usize| match disk.nodes[node] {
                Node::File { .. } => Kind::File,
                Node::Folder { .. } => Kind::Folder,
            };
            // not in their order: nothing may count on it
            Ok(names.into_iter().rev().map(|(name, node)| (name, kind(node))).collect())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", to, |disk, _| disk.rename(from, to))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.call("sync_file", path, |disk, _| disk.find(path).map(|node| disk.sync(node)))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call("sync_folder", path, |disk, _| disk.find(path).map(|node| disk.sync(node)))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call("remove_file", path, |disk, _| disk.remove(path, true))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.call("remove_folder", path, |disk, _| disk.remove(path, false))
    }
}

/// What is logged as a warning or an error while this runs, by this thread; for this crate's own tests.
#[cfg(test)]
pub(crate) fn warnings(run: impl FnOnce()) -> Vec<String> {
    use std::cell::RefCell;

    thread_local!(static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });
    struct Keep;
    impl log::Log for Keep {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            TOLD.with_borrow_mut(|told| told.push(record.args().to_string()));
        }
        fn flush(&self) {}
    }
    let _set_before = log::set_logger(&Keep);
    log::set_max_level(log::LevelFilter::Warn);
    TOLD.take();
    run();
    TOLD.take()
}

/// A small snapshot, for this crate's own tests.
#[cfg(test)]
pub(crate) fn snapshot(n: u64) -> crate::snapshot::Snapshot {
    crate::snapshot::Snapshot {
        logs: crate::logs::Marks::new(),
        name: crate::name::SnapshotName { global_batch: n, point: crate::name::SafePoint::Batch },
        stage: "train".into(),
        time: String::new(),
        why: Vec::new(),
        measured: Default::default(),
        stopped: false,
        state: n.to_string().into_bytes(),
        files: Vec::new(),
        buffer: Vec::with_capacity(1000 + n as usize),
    }
}
