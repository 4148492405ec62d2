//! A thread that writes snapshots while the run goes on.
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::retention::Retention;
use crate::snapshot::Snapshot;
use crate::store::{Saved, Store};

/// Writes one snapshot at a time, on a thread of its own. An error surfaces at the next call.
///
/// Dropped, it waits for the save that is going on: a process that ends in order leaves nothing half done.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Mutex<Store>>,
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
    buffer: Vec<u8>,
}

struct Job {
    snapshot: Snapshot,
    retention: Retention,
}

struct Done {
    snapshot: Snapshot,
    saved: Result<Saved>,
}

impl Writer {
    /// Starts the thread.
    pub fn new(store: Store) -> Result<Self> {
        let store = Arc::new(Mutex::new(store));
        let ((jobs, todo), (tell, done)) = (sync_channel::<Job>(1), sync_channel(1));
        let theirs = store.clone();
        let work = move || {
            for Job { snapshot, retention } in todo {
                let saved = lock(&theirs).save(&snapshot, &retention);
                if tell.send(Done { snapshot, saved }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("catena snapshots".into()).spawn(work);
        let thread =
            thread.map_err(|error| Error::Unwritable(format!("no thread can be started: {error}")))?;
        Ok(Self { store, jobs: Some(jobs), done, thread: Some(thread), busy: false, buffer: Vec::new() })
    }

    /// Whether a save is going on.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Waits for the save that is going on, and gives what it came to; none if there was none. Its buffer can be used again.
    pub fn wait(&mut self) -> Result<Option<(String, Saved)>> {
        if !std::mem::take(&mut self.busy) {
            return Ok(None);
        }
        let Ok(Done { snapshot, saved }) = self.done.recv() else {
            return Err(Error::Unwritable("the thread that writes snapshots is gone".into()));
        };
        self.buffer = snapshot.buffer;
        Ok(Some((snapshot.name.to_string(), saved?)))
    }

    /// What a save came to that has ended, without waiting for one that has not.
    pub fn poll(&mut self) -> Result<Option<(String, Saved)>> {
        if !self.busy {
            return Ok(None);
        }
        let Ok(Done { snapshot, saved }) = self.done.try_recv() else { return Ok(None) };
        self.busy = false;
        self.buffer = snapshot.buffer;
        Ok(Some((snapshot.name.to_string(), saved?)))
    }

    /// The memory for the next snapshot's bytes: that of the one before, whose pages are there already.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Lets a snapshot be written. One that is being written is waited for.
    pub fn save(&mut self, snapshot: Snapshot, retention: Retention) -> Result<()> {
        self.wait()?;
        let job = Job { snapshot, retention };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            return Err(Error::Unwritable("the thread that writes snapshots is gone".into()));
        }
        self.busy = true;
        Ok(())
    }

    /// The snapshots; it waits for the save that is going on.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // a panic in the middle of a save leaves at most a temporary folder
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            log::error!("a snapshot could not be saved: {error}");
        }
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::testing::{Fault, MemoryFileSystem, snapshot, warnings};

    fn writer() -> (MemoryFileSystem, Writer) {
        let disk = MemoryFileSystem::default();
        let store = Store::unlocked(Path::new("/"), Arc::new(disk.clone())).unwrap();
        (disk, Writer::new(store).unwrap())
    }

    fn newest(disk: &MemoryFileSystem) -> serde_json::Value {
        let mut store = Store::unlocked(Path::new("/"), Arc::new(disk.clone())).unwrap();
        store.load_newest().unwrap().unwrap().state
    }

    #[test]
    fn the_buffer_comes_back() {
        let (_disk, mut writer) = writer();
        assert_eq!(writer.wait().unwrap().map(|(name, _)| name), None);
        assert_eq!(writer.take_buffer().capacity(), 0);
        let snapshot = snapshot(1);
        let memory = (snapshot.buffer.as_ptr(), snapshot.buffer.capacity());
        writer.save(snapshot, Retention::default()).unwrap();
        assert!(writer.is_busy());
        let (name, saved) = writer.wait().unwrap().unwrap();
        assert_eq!(name, "000000000001-b");
        assert!(saved.bytes > 0 && !writer.is_busy());
        let back = writer.take_buffer();
        assert_eq!((back.as_ptr(), back.capacity()), memory);
    }

    #[test]
    fn an_error_surfaces_at_the_next_call_and_the_buffer_still_comes_back() {
        let (disk, mut writer) = writer();
        let fail = || disk.plan(0, Fault::Broken(std::io::ErrorKind::StorageFull));
        fail();
        writer.save(snapshot(1), Retention::default()).unwrap();
        let error = writer.save(snapshot(2), Retention::default()).unwrap_err();
        assert!(
            matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
        );
        assert_eq!(writer.take_buffer().capacity(), 1001);
        assert!(!writer.is_busy(), "what could not be handed over is not being written");

        writer.save(snapshot(2), Retention::default()).unwrap();
        let polled = loop {
            match writer.poll() {
                Ok(None) => std::thread::yield_now(),
                other => break other,
            }
        };
        assert!(matches!(polled, Err(Error::Io { .. })));
        assert_eq!(writer.take_buffer().capacity(), 1002);

        disk.mend();
        writer.save(snapshot(3), Retention::default()).unwrap();
        assert!(writer.wait().unwrap().is_some());
        assert_eq!(newest(&disk), 3);
    }

    #[test]
    fn dropped_it_waits_for_the_save_that_is_going_on() {
        let (disk, mut writer) = writer();
        // the thread can't begin before the drop does
        let store = writer.store.clone();
        let held = lock(&store);
        writer.save(snapshot(1), Retention::default()).unwrap();
        assert!(writer.poll().unwrap().is_none());
        let dropping = std::thread::spawn(move || drop(writer));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!dropping.is_finished());
        drop(held);
        dropping.join().unwrap();
        assert_eq!(newest(&disk), 1);
    }

    #[test]
    fn an_error_that_nobody_asked_for_is_logged_at_drop() {
        let (disk, mut writer) = writer();
        disk.plan(0, Fault::Broken(std::io::ErrorKind::StorageFull));
        writer.save(snapshot(1), Retention::default()).unwrap();
        let told = warnings(|| drop(writer));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("a snapshot could not be saved: can't "), "{told:?}");
    }
}
