//! MLflow's REST interface, as far as a run needs it.
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use ureq::http::Response;
use ureq::{Agent, AsSendBody, Body};

use super::item::Item;
use super::run_file::RunFile;
use super::settings::Settings;

/// Speaks to the server about one run.
pub(super) struct Client {
    settings: Settings,
    agent: Agent,
    run: Option<Run>,
}

struct Run {
    run_id: String,
    artifacts: String,
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Trying again may help.
    #[error("{0}")]
    Away(String),
    /// What was sent is not wanted; other things may be.
    #[error("{0}")]
    Refused(String),
    /// Nothing is taken until somebody does something about it: the access is refused, or the run is deleted.
    #[error("{0}")]
    Denied(String),
}

type Answer = Result<Json, Failure>;

const CONNECT: Duration = Duration::from_secs(5);
const RESPOND: Duration = Duration::from_secs(60);

impl Client {
    pub(super) fn new(settings: Settings) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(RESPOND))
            .timeout_recv_body(Some(RESPOND))
            .build();
        Self { settings, agent: config.into(), run: None }
    }

    /// Goes on with the run of this id, or makes one; the run's id.
    pub(super) fn open(&mut self, run_id: Option<String>) -> Result<String, Failure> {
        if let Some(run) = &self.run {
            return Ok(run.run_id.clone());
        }
        let run = match run_id {
            Some(run_id) => match self.look(&run_id) {
                Err(Failure::Refused(text)) => {
                    log::warn!("Mlflow: the run {run_id} can't go on, so a new one is made: {text}");
                    self.create()?
                }
                answer => answer?,
            },
            None => self.create()?,
        };
        let info = &run["run"]["info"];
        let text = |name: &str| match info[name].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Failure::Away(format!("what it answers about the run has no `{name}`"))),
        };
        let run = Run { run_id: text("run_id")?, artifacts: text("artifact_uri")? };
        self.remember(&run.run_id);
        let run_id = run.run_id.clone();
        self.run = Some(run);
        Ok(run_id)
    }

    /// The run of this id. One that was deleted in MLflow's page takes nothing.
    fn look(&self, run_id: &str) -> Answer {
        let run = self.get("runs/get", &[("run_id", run_id)])?;
        if run["run"]["info"]["lifecycle_stage"] == "deleted" {
            return Err(Failure::Denied(format!(
                "its run {run_id} is deleted; restore it there, or remove mlflow.json from the run directory to have a new one"
            )));
        }
        Ok(run)
    }

    /// Why something was refused: what was sent, or the run.
    pub(super) fn why(&self, refused: String) -> Failure {
        match self.run.as_ref().map(|run| self.look(&run.run_id)) {
            Some(Err(Failure::Denied(text))) => Failure::Denied(text),
            _ => Failure::Refused(refused),
        }
    }

    fn create(&self) -> Answer {
        let name = &self.settings.experiment;
        let experiment = match self.get("experiments/get-by-name", &[("experiment_name", name)]) {
            Err(Failure::Refused(_)) => {
                self.post("experiments/create", &json!({ "name": name }))?["experiment_id"].take()
            }
            answer => answer?["experiment"]["experiment_id"].take(),
        };
        let mut run = json!({
            "start_time": now(),
            "tags": [{ "key": "mlflow.source.name", "value": "catena" }],
        });
        if let Some(name) = &self.settings.run_name {
            run["run_name"] = name.as_str().into();
        }
        if experiment.as_str().is_none_or(str::is_empty) {
            return Err(Failure::Away("what it answers about the experiment has no `experiment_id`".into()));
        }
        run["experiment_id"] = experiment;
        self.post("runs/create", &run)
    }

    /// Writes the run's id into the run directory, if there is one.
    fn remember(&self, run_id: &str) {
        let Settings { server, experiment, dir, .. } = &self.settings;
        if let Some(dir) = dir {
            RunFile::new(server, experiment, run_id, dir).write(dir);
        }
    }

    /// Sends metrics, or parameters, or one of anything else.
    pub(super) fn send<'a>(&self, items: impl Iterator<Item = &'a Item>) -> Result<(), Failure> {
        let Some(run) = &self.run else { return Ok(()) };
        let (mut metrics, mut params) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Metric { key, value, timestamp, step } => {
                    metrics.push(json!({ "key": key, "value": value, "timestamp": timestamp, "step": step }));
                }
                Item::Param { key, value } => params.push(json!({ "key": key, "value": value })),
                Item::Bytes { name, bytes } => self.keep(run, name, Some(bytes), None)?,
                Item::File { name, path } => self.keep(run, name, None, Some(path))?,
                Item::Status { status, end_time } => {
                    let mut update = json!({ "run_id": run.run_id, "status": status });
                    if let Some(end_time) = end_time {
                        update["end_time"] = (*end_time).into();
                    }
                    self.post("runs/update", &update)?;
                }
            }
        }
        if metrics.is_empty() && params.is_empty() {
            return Ok(());
        }
        let batch = json!({ "run_id": run.run_id, "metrics": metrics, "params": params, "tags": [] });
        self.post("runs/log-batch", &batch).map(drop)
    }

    /// Keeps an artifact where the run has them: at the server, or in a folder that both see.
    fn keep(&self, run: &Run, name: &str, bytes: Option<&[u8]>, path: Option<&Path>) -> Result<(), Failure> {
        let unread = |path: &Path, error| Failure::Refused(format!("{}: {error}", path.display()));
        if let Some(place) = run.artifacts.strip_prefix("mlflow-artifacts:") {
            let place =
                place.strip_prefix("//").map_or(place, |rest| rest.find('/').map_or("", |at| &rest[at..]));
            let url = format!(
                "{}/api/2.0/mlflow-artifacts/artifacts{}/{}",
                self.settings.server,
                place,
                encode(name, true)
            );
            return match (bytes, path) {
                (Some(bytes), _) => self.put(&url, bytes),
                (None, Some(path)) => self.put(&url, File::open(path).map_err(|error| unread(path, error))?),
                (None, None) => Ok(()),
            };
        }
        let folder = run.artifacts.strip_prefix("file://").unwrap_or(&run.artifacts);
        if !folder.starts_with('/') {
            return Err(Failure::Refused(format!(
                "artifacts of this run are kept at {}, which can't be reached from here; start the server with \
                 --serve-artifacts and a new experiment",
                run.artifacts
            )));
        }
        let to = Path::new(folder).join(name);
        let copy = || {
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            match (bytes, path) {
                (Some(bytes), _) => fs::write(&to, bytes),
                (None, Some(path)) => fs::copy(path, &to).map(drop),
                (None, None) => Ok(()),
            }
        };
        copy().map_err(|error| unread(&to, error))
    }

    fn get(&self, method: &str, query: &[(&str, &str)]) -> Answer {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value, false))).collect();
        let mut request = self.agent.get(format!("{}?{}", self.url(method), query.join("&")));
        if let Some(authorization) = &self.settings.authorization {
            request = request.header("Authorization", authorization);
        }
        answer(request.call())
    }

    fn post(&self, method: &str, body: &Json) -> Answer {
        let mut request = self.agent.post(self.url(method)).header("Content-Type", "application/json");
        if let Some(authorization) = &self.settings.authorization {
            request = request.header("Authorization", authorization);
        }
        answer(request.send(body.to_string()))
    }

    fn put(&self, url: &str, body: impl AsSendBody) -> Result<(), Failure> {
        let mut request = self.agent.put(url).header("Content-Type", "application/octet-stream");
        if let Some(authorization) = &self.settings.authorization {
            request = request.header("Authorization", authorization);
        }
        answer(request.send(body)).map(drop)
    }

    fn url(&self, method: &str) -> String {
        format!("{}/api/2.0/mlflow/{method}", self.settings.server)
    }
}

/// What the server answers; that it is busy or broken is no answer.
fn answer(response: Result<Response<Body>, ureq::Error>) -> Answer {
    let mut response = response.map_err(|error| Failure::Away(error.to_string()))?;
    let status = response.status();
    let text = response.body_mut().read_to_string().map_err(|error| Failure::Away(error.to_string()))?;
    judge(status.as_u16(), &text)
}

/// What an answer means.
pub(super) fn judge(status: u16, text: &str) -> Answer {
    let start: String = text.chars().take(500).collect();
    if (200..300).contains(&status) {
        // MLflow answers with an object, if only an empty one; a page to log in may stand before it
        return match serde_json::from_str(text) {
            Ok(answer @ Json::Object(_)) => Ok(answer),
            _ => Err(Failure::Away(format!("what answers is no MLflow: {start}"))),
        };
    }
    let text = format!("{status}: {start}");
    match status {
        401 | 403 | 407 => Err(Failure::Denied(text)),
        408 | 429 | 500.. => Err(Failure::Away(text)),
        _ => Err(Failure::Refused(text)),
    }
}

/// Percent-encoded; slashes are kept in a path.
fn encode(text: &str, path: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'/' if path => encoded.push('/'),
            b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
