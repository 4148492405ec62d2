//! MLflow's REST interface, as far as a run needs it.
use std::fs::{self, File};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::item::Item;
use crate::remote::{Failure, Http, encode};

/// A tracking server, and how a run is called there: what [`Mlflow`](crate::Mlflow) sends to.
#[derive(Clone, Debug)]
pub struct MlflowServer {
    pub(super) server: String,
    pub(super) experiment: String,
    pub(super) run_name: Option<String>,
    pub(super) http: Http,
    /// The run, once the server was asked.
    pub(super) run: Option<Run>,
}

impl MlflowServer {
    pub(super) fn new(server: String) -> Self {
        let server = server.trim_end_matches('/').to_owned();
        Self { server, experiment: "Default".into(), run_name: None, http: Http::new(), run: None }
    }
}

/// A run of the server.
#[derive(Clone, Debug)]
pub(super) struct Run {
    run_id: String,
    artifacts: String,
}

type Answer = Result<Json, Failure>;

impl MlflowServer {
    /// Goes on with the run of this id, or makes one; the run's id.
    pub(super) fn open_run(&mut self, run_id: Option<&str>) -> Result<String, Failure> {
        let run = match run_id {
            Some(run_id) => match self.look(run_id) {
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
        let run_id = run.run_id.clone();
        self.run = Some(run);
        Ok(run_id)
    }

    /// The run of this id. One that was deleted in MLflow's page takes nothing.
    pub(super) fn look(&self, run_id: &str) -> Answer {
        let run = self.get("runs/get", &[("run_id", run_id)])?;
        if run["run"]["info"]["lifecycle_stage"] == "deleted" {
            return Err(Failure::Denied(format!(
                "its run {run_id} is deleted; restore it there, or remove mlflow.json from the run directory to have a new one"
            )));
        }
        Ok(run)
    }

    fn create(&self) -> Answer {
        let name = &self.experiment;
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
        if let Some(name) = &self.run_name {
            run["run_name"] = name.as_str().into();
        }
        if experiment.as_str().is_none_or(str::is_empty) {
            return Err(Failure::Away("what it answers about the experiment has no `experiment_id`".into()));
        }
        run["experiment_id"] = experiment;
        self.post("runs/create", &run)
    }

    /// Sends metrics, or parameters, or one of anything else.
    pub(super) fn send_items(&self, items: &[&Item]) -> Result<(), Failure> {
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
                self.server,
                place,
                name.split('/').map(encode).collect::<Vec<_>>().join("/")
            );
            return match (bytes, path) {
                (Some(bytes), _) => object(&self.http.put(&url, bytes)?).map(drop),
                (None, Some(path)) => {
                    let file = File::open(path).map_err(|error| unread(path, error))?;
                    object(&self.http.put_file(&url, file)?).map(drop)
                }
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
        object(&self.http.get(&self.url(method), query)?)
    }

    fn post(&self, method: &str, body: &Json) -> Answer {
        object(&self.http.post(&self.url(method), body)?)
    }

    fn url(&self, method: &str) -> String {
        format!("{}/api/2.0/mlflow/{method}", self.server)
    }
}

/// MLflow answers with an object, if only an empty one; a page to log in may stand before it.
pub(super) fn object(text: &str) -> Answer {
    match serde_json::from_str(text) {
        Ok(answer @ Json::Object(_)) => Ok(answer),
        _ => {
            let start: String = text.chars().take(500).collect();
            Err(Failure::Away(format!("what answers is no MLflow: {start}")))
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
