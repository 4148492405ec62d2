//! MLflow over its REST interface.
mod backlog;
mod client;
mod item;
mod queue;
mod run_file;
mod settings;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use self::client::Client;
use self::item::{Item, key, number, param};
use self::queue::{Queue, work};
use self::run_file::RunFile;
use self::settings::Settings;
use crate::array::Shown;
use crate::error::Result;
use crate::file::{at, make_folder};
use crate::logger::{Ending, Entry, Logger, Position, RunInfo};
use crate::payload::Payload;

/// Sends a run to an MLflow tracking server: hyper-parameters, metrics on the axis of global steps, images and texts as
/// artifacts (`images/<tag>/<step>.png`, `texts/<tag>/<step>.md`), and artifacts. Of arrays, a matrix is an image and a list the
/// metrics `<tag>/0`, `<tag>/1`, …, as in `TensorBoard`.
///
/// The training never waits for the server, and nothing that the server does ends the run. While it is away, up to 50,000 values are kept (or 5 MB of
/// images; then the oldest are dropped, with a warning) and sending is tried again, at first after half a second, at last every half minute. So it is
/// when the server refuses access, as with a token that has expired, when the run was deleted in MLflow's page, and when what answers is no MLflow, as a
/// page to log in; each is one warning. At the run's end the server is waited for, for at most [`Mlflow::patience`].
///
/// Metrics are called `<loader>/<metric>`, and `<loader>.batches/<metric>` for batches. In a name that MLflow does not allow (with
/// letters such as `@`, with empty parts as in `loss/`, or longer than 250 letters) what isn't allowed becomes `_`, and a hash of the
/// name is added, so that two names stay two in every run: `accuracy@1` is `accuracy_1_` and eight digits. On resume the same run goes on: its id is in the state, and in `RUN/mlflow.json` if there
/// is a run directory. What the server had not got at a snapshot stands in `RUN/mlflow.backlog.jsonl` and is sent then; a step may be repeated, the last value
/// being the right one. A copy of a run directory gets a run of its own, one that was moved goes on.
///
/// An address that begins with `https://` needs the cargo feature `https`.
///
/// ```
/// use catena_loggers::{Logger, Mlflow};
///
/// let logger = Mlflow::new("http://127.0.0.1:5000").experiment("digits").run_name("adamw");
/// assert_eq!(logger.name(), "Mlflow");
/// ```
pub struct Mlflow {
    settings: Settings,
    patience: Duration,
    queue: Option<Arc<Queue>>,
    position: Position,
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

impl std::fmt::Debug for Mlflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { server, experiment, run_name, authorization: _, dir: _ } = &self.settings;
        f.debug_struct("Mlflow")
            .field("server", server)
            .field("experiment", experiment)
            .field("run_name", run_name)
            .finish_non_exhaustive()
    }
}

impl Mlflow {
    /// To the tracking server at this address, such as `http://127.0.0.1:5000`.
    pub fn new(server: impl Into<String>) -> Self {
        let server = server.into().trim_end_matches('/').to_owned();
        let settings = Settings { server, experiment: "Default".into(), ..Settings::default() };
        Self {
            settings,
            patience: Duration::from_secs(10),
            queue: None,
            position: Position::default(),
            told: false,
        }
    }

    /// The experiment's name (default `Default`); it is made if it isn't there.
    #[must_use]
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.settings.experiment = name.into();
        self
    }

    /// The run's name (default one of the server's choice).
    #[must_use]
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.settings.run_name = Some(name.into());
        self
    }

    /// A token that the server wants to see.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.settings.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// A user and a password that the server wants to see.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.settings.authorization = Some(format!("Basic {both}"));
        self
    }

    /// How long the run's end waits for the server (default 10 s).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn put(&self, item: Item) {
        if let Some(queue) = &self.queue {
            queue.put(item);
        }
    }

    /// Checks the address, and makes the run directory.
    fn prepare(&mut self, run: &RunInfo) -> Result<()> {
        let server = &self.settings.server;
        if server.starts_with("https://") && !cfg!(feature = "https") {
            return Err(format!("Mlflow: {server} needs the cargo feature `https` of catena").into());
        }
        if !server.starts_with("http://") && !server.starts_with("https://") {
            return Err(format!(
                "Mlflow: `{server}` is no address of a server, such as http://127.0.0.1:5000"
            )
            .into());
        }
        self.settings.dir.clone_from(&run.dir);
        run.dir.as_deref().map_or(Ok(()), make_folder)
    }

    /// The thread that sends begins, with what waits already.
    fn send(&mut self, run_id: Option<String>, waiting: Vec<(u64, Item)>, logged: u64) -> Result<()> {
        let queue = Arc::new(Queue::new(run_id, waiting, logged));
        let (shared, client) = (Arc::clone(&queue), Client::new(self.settings.clone()));
        thread::Builder::new().name("mlflow".into()).spawn(move || work(&shared, client))?;
        self.queue = Some(queue);
        self.put(Item::Status { status: "RUNNING".into(), end_time: None });
        Ok(())
    }
}

impl Logger for Mlflow {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.prepare(run)?;
        for name in [run_file::NAME, backlog::NAME] {
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
        let run_id = RunFile::find(dir, run_id);
        let path = dir.join(backlog::NAME);
        let (waiting, unread) = backlog::read(&path, logged).unwrap_or_else(|error| {
            log::warn!("Mlflow: what waited for the server is lost: {}: {error}", path.display());
            (Vec::new(), 0)
        });
        if unread > 0 {
            log::warn!("Mlflow: {unread} lines of {} can't be read and are lost", path.display());
        }
        self.send(run_id, waiting, logged)
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        let timestamp = entry.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let step = entry.global_step;
        let file =
            |kind: &str, name: &str, end: &str| format!("{kind}/{}/{step}.{end}", key(&entry.tag(name)));
        match &entry.payload {
            Payload::Scalars(scalars) => {
                for (name, value) in scalars.iter() {
                    self.put(Item::Metric {
                        key: key(&entry.tag(name)),
                        value: number(value),
                        timestamp,
                        step,
                    });
                }
            }
            Payload::Array { name, array } => {
                for (name, shown) in array.shown(name)? {
                    self.put(match shown {
                        Shown::Number(value) => Item::Metric {
                            key: key(&entry.tag(&name)),
                            value: number(value),
                            timestamp,
                            step,
                        },
                        Shown::Picture(image) => {
                            Item::Bytes { name: file("images", &name, "png"), bytes: image.png()? }
                        }
                    });
                }
            }
            Payload::Params(params) => {
                for (name, value) in params.iter() {
                    self.put(Item::Param { key: key(name), value: param(value) });
                }
            }
            Payload::Image { name, image } => {
                self.put(Item::Bytes { name: file("images", name, "png"), bytes: image.png()? });
            }
            Payload::Text { name, text } => {
                self.put(Item::Bytes { name: file("texts", name, "md"), bytes: text.clone().into_bytes() });
            }
            Payload::Artifact { name, path } => {
                self.put(Item::File { name: name.clone(), path: path.clone() });
            }
            Payload::Histogram { .. } => {}
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let (run_id, logged, waiting) = queue.position();
        if let Some(path) = self.settings.dir.as_ref().map(|dir| dir.join(backlog::NAME)) {
            // what waits is in memory all the same
            if let Err(error) = backlog::write(&path, waiting.iter())
                && !std::mem::replace(&mut self.told, true)
            {
                log::warn!("Mlflow: a kill would lose what waits for the server: {error}");
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
        let status = match ending {
            Ending::Done => "FINISHED",
            Ending::Interrupted => "KILLED",
            Ending::Failed => "FAILED",
        };
        self.put(Item::Status { status: status.into(), end_time: Some(client::now()) });
        self.sync()?;
        if let Some(queue) = &self.queue {
            let waiting = queue.wait_until_empty(self.patience);
            if waiting > 0 {
                let (server, seconds) = (&self.settings.server, self.patience.as_secs_f64());
                log::warn!(
                    "Mlflow: {server} has not taken {waiting} values in the {seconds} s that the run's end waits"
                );
            }
        }
        self.sync()
    }
}

impl Drop for Mlflow {
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

    /// An answer of a server.
    pub fn answer(status: u16, text: &str) {
        drop(super::client::judge(status, text));
    }

    /// `mlflow.json` and the backlog in a run directory.
    pub fn files(dir: &Path) {
        drop(super::RunFile::find(dir, None));
        drop(super::backlog::read(&dir.join(super::backlog::NAME), u64::MAX));
    }
}

#[cfg(test)]
mod tests;
