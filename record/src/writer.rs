//! A thread that writes snapshots while the run goes on.
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::retention::Retention;
use crate::{Error, Result, Saved, Snapshot, Store};

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
