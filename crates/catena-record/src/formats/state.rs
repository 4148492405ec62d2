//! `state.json` of a snapshot: the parts that readers show. Resume reads all of it, and its other parts may change with each version.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The file's name in a snapshot's folder.
pub const NAME: &str = "state.json";

/// The outer form of `state.json`, as far as programs read it.
///
/// ```
/// use catena_record::formats::state::StateFile;
///
/// let state: StateFile = serde_json::from_str(r#"{"progress":{"global_batch":7},"point":"epoch"}"#)?;
/// assert_eq!(state.progress["global_batch"], 7);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateFile {
    /// The next thing to do.
    pub cursor: Map<String, Value>,
    /// The counters, windows and metrics.
    #[serde(alias = "books")]
    pub progress: Map<String, Value>,
    /// The names of each of the model's tensors that has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Vec<String>>,
}
