//! The process that is killed: the run of the resume tests, slowed down, which says where it is.
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catena::prelude::*;
use catena::record::fs::{FileSystem, Kind, Os, WriteFile};
use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::places::{Places, Training, Writing};
use crate::resumable::{Ended, builder};

/// What a child that comes to its end leaves.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) ended: Ended,
    pub(crate) resumed_from: Option<u64>,
    pub(crate) batches_run: u64,
    /// The Train batches that this process has seen begin.
    pub(crate) batches_seen: u64,
}

/// Begins the run in `work/run`, or goes on with it. With a seed it pauses here and there, and syncs as every run does; without one it
/// is not going to be killed.
pub(crate) fn train(work: &Path, seed: Option<u64>) {
    let places = Arc::new(Places::open(&work.join("places")));
    places.train(Training::Starting);
    let batches_seen = Arc::new(AtomicU64::new(0));
    let train =
        Announce { places: places.clone(), pauses: Pauses::new(seed), batches_seen: batches_seen.clone() };
    let checkpoint = Checkpoint::new().every(Every::Batches(3)).every(Every::Epochs(1));
    let run = work.join("run");
    let mut builder = builder(&run, checkpoint).callback(train);
    if let Some(seed) = seed {
        let pauses = Arc::new(Pauses::new(Some(!seed)));
        builder = builder.file_system(Arc::new(Announcing { places, pauses, renamed: Mutex::new(None) }));
    }
    let mut runner = builder.build().unwrap();
    let report = runner.resume(Resume::LatestIfAny).unwrap();
    let done = Done {
        ended: Ended::of(&runner, &report, &run),
        resumed_from: report.resumed_from,
        batches_run: report.batches_run,
        batches_seen: batches_seen.load(Ordering::Relaxed),
    };
    fs::write(work.join("done.json"), serde_json::to_vec(&done).unwrap()).unwrap();
}

/// The longest pauses, in microseconds: at an event, at a call of the file system, and between the rename and the sync after it.
const EVENT: u64 = 3000;
const CALL: u64 = 500;
const RENAMED: u64 = 5000;

/// Waits of a random length, or none.
#[derive(Debug)]
struct Pauses(Option<Mutex<Chance>>);

impl Pauses {
    fn new(seed: Option<u64>) -> Self {
        Self(seed.map(|seed| Mutex::new(Chance::new(seed))))
    }

    fn pause(&self, longest: u64) {
        if let Some(chance) = &self.0 {
            let pause = chance.lock().unwrap().up_to(Duration::from_micros(longest));
            std::thread::sleep(pause);
        }
    }
}

/// Says where the thread that trains is.
struct Announce {
    places: Arc<Places>,
    pauses: Pauses,
    batches_seen: Arc<AtomicU64>,
}

impl Callback for Announce {
    fn state(&self) -> State {
        State::none()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> catena::chain::Result<Flow> {
        match (event, cx.mode()) {
            (Event::BatchStart, Mode::Train) => {
                self.batches_seen.fetch_add(1, Ordering::Relaxed);
                self.places.train(Training::Batch);
            }
            (Event::LoaderStart, Mode::Eval) => self.places.train(Training::Evaluation),
            _ => {}
        }
        self.pauses.pause(EVENT);
        match (event, cx.mode()) {
            (Event::BatchEnd, Mode::Train) | (Event::LoaderEnd, Mode::Eval) => {
                self.places.train(Training::Between);
            }
            _ => {}
        }
        Ok(Flow::GO)
    }
}

/// The operating system's files, and where the thread that writes them is. What is announced is announced for as long only as it is
/// sure: the calls of the rename and of the sync after it belong to no place.
#[derive(Debug)]
struct Announcing {
    places: Arc<Places>,
    pauses: Arc<Pauses>,
    /// A snapshot that has its name, which is not durable yet.
    renamed: Mutex<Option<String>>,
}

/// A file of a snapshot.
struct Slowed(Box<dyn WriteFile>, Arc<Pauses>);

impl Write for Slowed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.pause(CALL);
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl WriteFile for Slowed {
    fn sync(&mut self) -> io::Result<()> {
        self.1.pause(CALL);
        self.0.sync()
    }
}

impl FileSystem for Announcing {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.pauses.pause(CALL);
        Os.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.pauses.pause(CALL);
        Ok(Box::new(Slowed(Os.create(path)?, self.pauses.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Os.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<(Kind, u64)> {
        Os.stat(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, Kind)>> {
        Os.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if name(to).ends_with(".gone") {
            self.places.write(Writing::Removing);
        }
        self.pauses.pause(CALL);
        if !name(from).starts_with(".tmp-") {
            return Os.rename(from, to);
        }
        self.places.write(Writing::Elsewhere);
        Os.rename(from, to)?;
        self.places.write(Writing::Renamed);
        *self.renamed.lock().unwrap() = Some(name(to));
        Ok(())
    }

    /// Only a save syncs a file by its name: the logs, first of all.
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.places.write(Writing::Unnamed);
        self.pauses.pause(CALL);
        Os.sync_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let renamed = self.renamed.lock().unwrap().take_if(|_| path.ends_with("checkpoints"));
        match renamed {
            Some(snapshot) => {
                self.pauses.pause(RENAMED);
                self.places.write(Writing::Elsewhere);
                Os.sync_folder(path)?;
                self.places.durable(&snapshot);
                Ok(())
            }
            None => {
                self.pauses.pause(CALL);
                Os.sync_folder(path)
            }
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.places.write(Writing::Removing);
        self.pauses.pause(CALL);
        Os.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.pauses.pause(CALL);
        Os.remove_folder(path)?;
        self.places.write(Writing::Elsewhere);
        Ok(())
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
