//! MLflow over its REST interface.
mod client;
mod item;
mod queue;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use catena_chain::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use self::client::Client;
use self::item::{Item, key, number, param};
use self::queue::{Queue, work};
use super::array::Shown;
use super::file::at;
use super::{Ending, Entry, Logger, Payload, RunInfo};

/// Sends a run to an MLflow tracking server: hyper-parameters, metrics on the axis of global steps, images and texts as
/// artifacts (`images/<tag>/<step>.png`, `texts/<tag>/<step>.md`), and artifacts. Of arrays, a matrix is an image and a list the
/// metrics `<tag>/0`, `<tag>/1`, …, as in [`TensorBoard`](super::TensorBoard).
///
/// The training never waits for the server. While it is away, up to 50,000 values are kept (then the oldest are dropped, with a
/// warning) and sending is tried again, at first after half a second, at last every half minute. At the run's end it is waited
/// for, for at most [`Mlflow::patience`].
///
/// Metrics are called `<loader>/<metric>`, and `<loader>.batches/<metric>` for batches. In a name that MLflow does not allow (with
/// letters such as `@`, with empty parts as in `loss/`, or longer than 250 letters) what isn't allowed becomes `_`, and a hash of the
/// name is added, so that two names stay two in every run: `accuracy@1` is `accuracy_1_` and eight digits. On resume the same run goes on: its id is in the state, and in `RUN/mlflow.json` if there
/// is a run directory; what the server had not got at the snapshot is sent again, and a step may be repeated, the last value
/// being the right one.
///
/// An address that begins with `https://` needs the cargo feature `https`.
///
/// ```
/// use catena_callbacks::{Loggers, Mlflow};
///
/// let loggers = Loggers::new().with(Mlflow::new("http://127.0.0.1:5000").experiment("digits").run_name("adamw"));
/// ```
pub struct Mlflow {
    settings: Settings,
    patience: Duration,
    queue: Option<Arc<Queue>>,
    position: Position,
}

/// Where runs go, and under which names.
#[derive(Clone, Default)]
struct Settings {
    server: String,
    experiment: String,
    run_name: Option<String>,
    authorization: Option<String>,
    run_file: Option<PathBuf>,
}

/// The run's id, and what the server has not got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    run_id: Option<String>,
    waiting: Vec<Item>,
}

impl std::fmt::Debug for Mlflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { server, experiment, run_name, authorization: _, run_file: _ } = &self.settings;
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
        Self { settings, patience: Duration::from_secs(10), queue: None, position: Position::default() }
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

    fn begin(&self) {
        self.put(Item::Status { status: "RUNNING".into(), end_time: None });
    }
}

impl Logger for Mlflow {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
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
        let mut run_id = None;
        if let Some(dir) = &run.dir {
            super::file::make_folder(dir)?;
            let path = dir.join("mlflow.json");
            if path.exists() && run.resuming {
                let text = fs::read(&path).map_err(|error| at(&path, &error))?;
                let saved: client::RunFile =
                    serde_json::from_slice(&text).map_err(|error| at(&path, &error))?;
                run_id = Some(saved.run_id);
            } else if path.exists() {
                fs::remove_file(&path).map_err(|error| at(&path, &error))?;
            }
            self.settings.run_file = Some(path);
        }
        let queue = Arc::new(Queue::new(run_id));
        let (shared, client) = (Arc::clone(&queue), Client::new(self.settings.clone()));
        thread::Builder::new().name("mlflow".into()).spawn(move || work(&shared, client))?;
        self.queue = Some(queue);
        if !run.resuming {
            self.begin();
        }
        Ok(())
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
        if let Some(queue) = &self.queue {
            let (run_id, waiting) = queue.position();
            self.position = Position { run_id, waiting };
        }
        Ok(())
    }

    fn position(&self) -> Json {
        serde_json::to_value(&self.position).unwrap_or_default()
    }

    fn check(&self, _: &RunInfo, position: &Json) -> Result<()> {
        serde_json::from_value::<Position>(position.clone())?;
        Ok(())
    }

    fn resume(&mut self, position: Json) -> Result<()> {
        self.position = serde_json::from_value(position)?;
        let Position { run_id, waiting } = self.position.clone();
        if let (Some(queue), Some(run_id)) = (&self.queue, run_id) {
            queue.set_run_id(run_id);
        }
        self.begin();
        waiting.into_iter().for_each(|item| self.put(item));
        Ok(())
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
        Ok(())
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

#[cfg(test)]
mod tests;
