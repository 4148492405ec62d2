//! What differs between servers: the trait that a logger of one's own for a server is written with.
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::logger::{Ending, Entry};

/// A server to which runs are sent. [`Remote`](super::Remote) makes a [`Logger`](crate::Logger) of it, which brings all that servers have in common: a bounded
/// queue, a thread that sends, pauses after failures, a backlog in the run directory, and the resume.
///
/// A service says how an entry becomes things to send ([`Service::items`]), and sends them ([`Service::send`]). The rest has defaults.
///
/// ```
/// use catena_loggers::remote::{Failure, Http, Remote, Service};
/// use catena_loggers::{Entry, Payload, Result};
/// use serde_json::{Value, json};
///
/// /// Posts a run's numbers to an address, as JSON.
/// #[derive(Clone)]
/// struct Webhook {
///     url: String,
///     http: Http,
/// }
///
/// impl Service for Webhook {
///     type Item = Value;
///     const NAME: &'static str = "Webhook";
///
///     fn address(&self) -> &str {
///         &self.url
///     }
///
///     fn items(&self, entry: &Entry) -> Result<Vec<Value>> {
///         let Payload::Scalars(scalars) = &entry.payload else { return Ok(Vec::new()) };
///         let item = |(name, value): (&str, f64)| {
///             json!({ "name": entry.tag(name), "value": value, "step": entry.global_step })
///         };
///         Ok(scalars.iter().map(item).collect())
///     }
///
///     fn send(&mut self, run_id: &str, items: &[&Value]) -> std::result::Result<(), Failure> {
///         let body = json!({ "run": run_id, "points": items });
///         self.http.post(&self.url, &body).map(drop)
///     }
/// }
///
/// let logger = Remote::to(Webhook { url: "http://127.0.0.1:9/points".into(), http: Http::new() });
/// assert_eq!(catena_loggers::Logger::name(&logger), "Webhook");
/// ```
pub trait Service: Clone + Send + 'static {
    /// One thing to send. Those that wait stand in the run directory as JSON.
    type Item: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// The logger's name, as in warnings. In lower case it is the name of the thread that sends, and of two files in the run directory: `<name>.json`
    /// says which run of the server it has, `<name>.backlog.jsonl` what waits.
    const NAME: &'static str;

    /// The server's address, which begins with `http://` or `https://`.
    fn address(&self) -> &str;

    /// What is sent of an entry, in order; nothing of kinds that the server has no place for.
    ///
    /// # Errors
    ///
    /// An error is a warning, once, and the logger gets nothing from there on. That the server is away is none: it is asked later.
    fn items(&self, entry: &Entry) -> Result<Vec<Self::Item>>;

    /// What is sent when the run begins or goes on (`None`), and when it ends (default nothing).
    fn status(&self, ending: Option<Ending>) -> Option<Self::Item> {
        let _ = ending;
        None
    }

    /// Makes a run at the server, or goes on with the one of this id; the id. It is called before the first [`Service::send`], and again until it gives an id.
    /// By default nothing is asked: a run that has no id gets one of 32 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. One that the server refuses is tried again too: without a run nothing can be sent.
    fn open(&mut self, run_id: Option<&str>) -> std::result::Result<String, Failure> {
        Ok(run_id.map_or_else(super::run_file::new_id, str::to_owned))
    }

    /// Sends these, which have one answer to [`Service::at_most`]. After a failure all of them may be sent again, so what was taken twice must do no harm.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. Of several things that are refused each is sent alone, so that only those are lost that the server does not want.
    fn send(&mut self, run_id: &str, items: &[&Self::Item]) -> std::result::Result<(), Failure>;

    /// Why the server refused something: by default because it does not want it. A service may ask whether the run is still there.
    fn why_refused(&mut self, run_id: &str, text: String) -> Failure {
        let _ = run_id;
        Failure::Refused(text)
    }

    /// How many things like this one a request takes (default 1000). Things with different answers are never in one request.
    fn at_most(item: &Self::Item) -> usize {
        let _ = item;
        1000
    }

    /// How much it counts while it waits, where [`ROOM`](super::ROOM) is the most (default 1, for about 100 bytes).
    fn size(item: &Self::Item) -> usize {
        let _ = item;
        1
    }

    /// Whether it may be dropped if too much waits (default yes).
    fn may_be_lost(item: &Self::Item) -> bool {
        let _ = item;
        true
    }
}

/// Why a server did not take something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Trying again may help: nobody answers, the server is busy, or what answers is another one.
    #[error("{0}")]
    Away(String),
    /// What was sent is not wanted; other things may be. It is left out, with a warning.
    #[error("{0}")]
    Refused(String),
    /// Nothing is taken until somebody does something about it: the access is refused, or the run is deleted. All of it waits and is tried again.
    #[error("{0}")]
    Denied(String),
}
