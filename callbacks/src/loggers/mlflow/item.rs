//! What is sent to MLflow.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    Metric { key: String, value: Json, timestamp: u64, step: u64 },
    Param { key: String, value: String },
    Bytes { name: String, bytes: Vec<u8> },
    File { name: String, path: PathBuf },
    Status { status: String, end_time: Option<u64> },
}

impl Item {
    /// How much it counts in the buffer: about a metric's size is 1.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bytes { bytes, .. } => 1 + bytes.len() / 100,
            _ => 1,
        }
    }

    /// Whether it may be dropped when the buffer is full.
    pub(super) fn may_be_lost(&self) -> bool {
        !matches!(self, Self::Param { .. } | Self::Status { .. })
    }
}

/// The longest value of a parameter, and the longest name, that MLflow takes.
const LONGEST_PARAM: usize = 6000;
const LONGEST_KEY: usize = 250;

/// A name as MLflow allows it.
pub(super) fn key(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/');
    name.chars().take(LONGEST_KEY).map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// A number as protocol buffers have it in JSON.
pub(super) fn number(value: f64) -> Json {
    match value {
        x if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        x => x.into(),
    }
}

/// A parameter's value as text.
pub(super) fn param(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(LONGEST_PARAM).collect()
}
