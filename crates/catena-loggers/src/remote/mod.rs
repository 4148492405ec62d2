//! Loggers that send to a server: the queue, the sending thread and the backlog of all of them.
mod backlog;
mod http;
mod queue;
mod run_file;
mod sending;
mod service;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::http::{Http, encode};
pub use self::queue::ROOM;
pub use self::service::{Failure, Service};

use self::queue::{Numbered, Queue};
use self::run_file::RunFile;
use crate::error::Result;
use crate::file::{at, make_folder};
use crate::logger::{Ending, Entry, Logger, Position, RunInfo};

/// Sends a run to a server, which a [`Service`] speaks to.
///
/// The training never waits for the server, and nothing that the server does ends the run. While it is away, as much as [`ROOM`] says is kept (50,000 values, or 5 MB
/// of images; then the oldest are dropped, with a warning) and sending is tried again, at first after half a second, at last every half minute. So it is
/// when the server refuses access, as with a token that has expired; each is one warning. At the run's end the server is waited for, for at most
/// [`Remote::patience`].
///
/// On resume the same run of the server goes on: its id is in the state, and in a file of the run directory if there is one. What the server had not got at a
/// snapshot stands in the backlog there and is sent then; a step may be repeated, the last value being the right one. A copy of a run directory gets a run of its
/// own, one that was moved goes on.
pub struct Remote<S: Service> {
    pub(crate) service: S,
    patience: Duration,
    queue: Option<Arc<Queue<S>>>,
    position: Position,
    /// The run directory.
    dir: Option<PathBuf>,
    /// Whether it was told that the backlog can't be written.
    told: bool,
}

/// What a snapshot has of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    run_id: Option<String>,
    /// How many things had been logged.
    logged: u64,
}

impl<S: Service> fmt::Debug for Remote<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // what else the service has may be a secret
        f.debug_struct(S::NAME).field("server", &self.service.address()).finish_non_exhaustive()
    }
}

impl<S: Service> Remote<S> {
    /// A logger that sends to this service.
    pub fn to(service: S) -> Self {
        let patience = Duration::from_secs(10);
        Self { service, patience, queue: None, position: Position::default(), dir: None, told: false }
    }

    /// How long the run's end waits for the server (default 10 s).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What waits.
    #[cfg(all(test, feature = "mlflow"))]
    pub(crate) fn waiting(&self) -> Numbered<S::Item> {
        self.queue.as_ref().map(|queue| queue.position().2).unwrap_or_default()
    }

    fn put(&self, item: Option<S::Item>) {
        if let Some((queue, item)) = self.queue.as_ref().zip(item) {
            queue.put(item);
        }
    }

    /// Checks the address, and makes the run directory.
    fn prepare(&mut self, run: &RunInfo) -> Result<()> {
        http::check_address(S::NAME, self.service.address())?;
        self.dir.clone_from(&run.dir);
        run.dir.as_deref().map_or(Ok(()), make_folder)
    }

    /// The thread that sends begins, with what waits already.
    fn send(&mut self, run_id: Option<String>, waiting: Numbered<S::Item>, logged: u64) -> Result<()> {
        let queue = Arc::new(Queue::new(run_id, waiting, logged));
        let (shared, service, dir) = (Arc::clone(&queue), self.service.clone(), self.dir.clone());
        let thread = thread::Builder::new().name(S::NAME.to_lowercase());
        thread.spawn(move || sending::work(&shared, service, dir.as_deref()))?;
        self.queue = Some(queue);
        self.put(self.service.status(None));
        Ok(())
    }
}

impl<S: Service> Logger for Remote<S> {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.prepare(run)?;
        for name in [run_file::name(S::NAME), backlog::name(S::NAME)] {
            if let Some(path) = run.dir.as_ref().map(|dir| dir.join(name)) {
                backlog::remove(&path).map_err(|error| at(&path, &error))?;
            }
        }
        self.send(None, Vec::new(), 0)
    }

    fn go_on(&mut self, run: &RunInfo, position: Position) -> Result<()> {
        let Saved { run_id, logged } = serde_json::from_value(position.json)?;
        self.prepare(run)?;
        let Some(dir) = &run.dir else { return self.send(run_id, Vec::new(), logged) };
        let run_id = RunFile::find(S::NAME, dir, run_id);
        let path = dir.join(backlog::name(S::NAME));
        let (waiting, unread) = backlog::read(&path, logged).unwrap_or_else(|error| {
            log::warn!("{}: what waited for the server is lost: {}: {error}", S::NAME, path.display());
            (Vec::new(), 0)
        });
        if unread > 0 {
            log::warn!("{}: {unread} lines of {} can't be read and are lost", S::NAME, path.display());
        }
        self.send(run_id, waiting, logged)
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        self.service.items(entry)?.into_iter().for_each(|item| self.put(Some(item)));
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let (run_id, logged, waiting) = queue.position();
        if let Some(path) = self.dir.as_ref().map(|dir| dir.join(backlog::name(S::NAME))) {
            // what waits is in memory all the same
            if let Err(error) = backlog::write(&path, &waiting)
                && !std::mem::replace(&mut self.told, true)
            {
                log::warn!("{}: a kill would lose what waits for the server: {error}", S::NAME);
            }
        }
        self.position =
            Position { json: serde_json::to_value(Saved { run_id, logged })?, ..Position::default() };
        Ok(())
    }

    fn position(&self) -> Position {
        self.position.clone()
    }

    fn end(&mut self, ending: Ending) -> Result<()> {
        self.put(self.service.status(Some(ending)));
        self.sync()?;
        if let Some(queue) = &self.queue {
            let waiting = queue.wait_until_empty(self.patience);
            if waiting > 0 {
                let (name, server, seconds) = (S::NAME, self.service.address(), self.patience.as_secs_f64());
                log::warn!(
                    "{name}: {server} has not taken {waiting} values in the {seconds} s that the run's end waits"
                );
            }
        }
        self.sync()
    }

    fn name(&self) -> &str {
        S::NAME
    }
}

impl<S: Service> Drop for Remote<S> {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

/// What reads answers and files that others may have written.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    /// The status of an answer.
    pub fn answer(status: u16, text: &str) {
        drop(super::http::judge(status, text.to_owned()));
    }

    /// What a logger of this name and these items has in a run directory.
    pub fn files<I: serde::de::DeserializeOwned>(logger: &str, dir: &Path) {
        drop(super::RunFile::find(logger, dir, None));
        drop(super::backlog::read::<I>(&dir.join(super::backlog::name(logger)), u64::MAX));
    }
}
