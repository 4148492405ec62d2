//! MLflow over its REST interface.
mod client;
mod item;
mod service;

use crate::remote::Remote;

pub use self::client::MlflowServer;

/// Sends a run to an MLflow tracking server: hyper-parameters, metrics on the axis of global steps, images and texts as
/// artifacts (`images/<tag>/<step>.png`, `texts/<tag>/<step>.md`), and artifacts. Of arrays, a matrix is an image and a list the
/// metrics `<tag>/0`, `<tag>/1`, …, as in `TensorBoard`.
///
/// The training never waits for the server, and nothing that the server does ends the run: [`Remote`] says how. What holds for a server that is away
/// holds when the run was deleted in MLflow's page, and when what answers is no MLflow, as a page to log in.
///
/// Metrics are called `<loader>/<metric>`, and `<loader>.batches/<metric>` for batches. In a name that MLflow does not allow (with
/// letters such as `@`, with empty parts as in `loss/`, or longer than 250 letters) what isn't allowed becomes `_`, and a hash of the
/// name is added, so that two names stay two in every run: `accuracy@1` is `accuracy_1_` and eight digits.
///
/// The run's id stands in `RUN/mlflow.json`, what waits in `RUN/mlflow.backlog.jsonl`.
///
/// An address that begins with `https://` needs the cargo feature `https`.
///
/// ```
/// use catena_loggers::{Logger, Mlflow};
///
/// let logger = Mlflow::new("http://127.0.0.1:5000").experiment("digits").run_name("adamw");
/// assert_eq!(logger.name(), "Mlflow");
/// ```
pub type Mlflow = Remote<MlflowServer>;

impl Mlflow {
    /// To the tracking server at this address, such as `http://127.0.0.1:5000`.
    pub fn new(server: impl Into<String>) -> Self {
        Self::to(MlflowServer::new(server.into()))
    }

    /// The experiment's name (default `Default`); it is made if it isn't there.
    #[must_use]
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.service.experiment = name.into();
        self
    }

    /// The run's name (default one of the server's choice).
    #[must_use]
    pub fn run_name(mut self, name: impl Into<String>) -> Self {
        self.service.run_name = Some(name.into());
        self
    }

    /// A token that the server wants to see.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.service.http = self.service.http.clone().bearer(token);
        self
    }

    /// A user and a password that the server wants to see.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.service.http = self.service.http.clone().basic_auth(user, password);
        self
    }
}

/// What reads answers and files that others may have written.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    /// An answer of a server.
    pub fn answer(status: u16, text: &str) {
        crate::remote::fuzzing::answer(status, text);
        drop(super::client::object(text));
    }

    /// `mlflow.json` and the backlog in a run directory.
    pub fn files(dir: &Path) {
        crate::remote::fuzzing::files::<super::item::Item>("mlflow", dir);
    }
}

#[cfg(test)]
mod tests;
