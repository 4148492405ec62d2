//! `timing.jsonl`: what the clock says of a run. Two runs that compute the same differ in it.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::float;

/// The file's name in the run directory.
pub const NAME: &str = "timing.jsonl";

/// A line of `timing.jsonl`. There are several kinds of lines, and each has some of the fields:
///
/// * how fast a loader's batches go through: `loader`, `seconds`, `throughput`, `data_wait`
/// * the memory that is in use: `memory`
/// * what the time went into, at the run's end: `timings`
/// * who made the host wait for the device, at the run's end: `syncs`
/// * a snapshot that was taken: `snapshot`, `stall`, `wait`, `share`; and written: `snapshot`, `bytes`, `write`
///
/// All but snapshots have `global_batch`. What else a callback writes is in `others`.
///
/// ```
/// use catena_record::formats::timing::{Throughput, TimingRow};
///
/// let throughput = Throughput { samples: Some(2048.0), ..Throughput::default() };
/// let row = TimingRow { time: "2026-01-02T03:04:05.678Z".into(), throughput: Some(throughput), ..TimingRow::default() };
/// let line = row.to_line()?;
/// assert_eq!(line, r#"{"throughput":{"samples":2048.0},"time":"2026-01-02T03:04:05.678Z"}"#);
/// assert_eq!(serde_json::from_str::<TimingRow>(&line)?, row);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimingRow {
    /// When the line was written: RFC 3339, UTC, to the millisecond.
    pub time: String,
    /// The run's train batches so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_batch: Option<u64>,
    /// The loader that the line is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// How many seconds the line is about.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What went through in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// The share of the time in which the run waited for its loader, from 0 to 1.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub data_wait: Option<f64>,
    /// The memory that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryRow>,
    /// What the time went into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Vec<CallbackTime>>,
    /// Who handed values from the device to the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syncs: Option<Vec<SyncCounts>>,
    /// The name of the snapshot that was taken or written, such as `000000000123-b`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Seconds of the training thread that copying the snapshot took.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub stall: Option<f64>,
    /// Seconds in which the training thread waited for the snapshot before it to be written.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub wait: Option<f64>,
    /// The share of the process's time so far that snapshots took of the training thread, from 0 to 1.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The bytes of the snapshot that was written; 0 if it was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Seconds that the writing thread took.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub write: Option<f64>,
    /// Fields of other callbacks.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What went through a loader in a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throughput {
    /// Batches.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub batches: Option<f64>,
    /// Samples.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub samples: Option<f64>,
    /// Tokens, where they are counted.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    /// Other things.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// MemoryRow in use, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryRow {
    /// Of the process now; none where it can't be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident: Option<u64>,
    /// Of the process at most since it began; none where it can't be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// On the run's device, if that is a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceMemory>,
    /// Of other kinds.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// MemoryRow that libtorch's allocator holds on a device, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceMemory {
    /// In tensors.
    pub allocated: u64,
    /// Taken from the device.
    pub reserved: u64,
    /// In tensors at most.
    pub peak: u64,
}

/// What one kind of work took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallbackTime {
    /// The event that was heard; `data`, `evaluation` or `snapshot` for what the runner does itself.
    pub event: String,
    /// The callback that heard it; empty for the runner.
    pub callback: String,
    /// In which loader; empty outside of loaders.
    pub loader: String,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Seconds altogether.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Seconds of the longest call.
    #[serde(with = "float::option", skip_serializing_if = "Option::is_none")]
    pub longest: Option<f64>,
}

/// How often one callback handed values from the device to the host at one event: each time the host waits for a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncCounts {
    /// The event that was heard; `data`, `evaluation` or `snapshot` for what the runner does itself, and empty between them.
    pub event: String,
    /// The callback that heard it; empty for the runner.
    pub callback: String,
    /// Reads of one number.
    pub scalars: u64,
    /// Copies of tensors.
    pub copies: u64,
    /// Results whose size depends on values.
    pub sizes: u64,
}

impl TimingRow {
    /// The line as it is written, without its end: names in alphabetical order.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(float::to_value(self)?.to_string())
    }

    /// What was measured at `global_batch`, by name: each number below is a curve.
    pub fn measured(&self) -> serde_json::Result<Map<String, Value>> {
        let Self { throughput, data_wait, memory, others, .. } = self;
        let mut measured = others.clone();
        if let Some(throughput) = throughput {
            measured.insert("throughput".into(), float::to_value(throughput)?);
        }
        if let Some(data_wait) = data_wait {
            measured.insert("data_wait".into(), float::value(*data_wait));
        }
        if let Some(memory) = memory {
            measured.insert("memory".into(), float::to_value(memory)?);
        }
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_callbacks_write_is_kept() {
        let text =
            r#"{"fans":{"rpm":900},"global_batch":3,"throughput":{"images":7.0,"samples":"inf"},"time":""}"#;
        let row: TimingRow = serde_json::from_str(text).unwrap();
        assert_eq!(row.throughput.as_ref().unwrap().samples, Some(f64::INFINITY));
        assert_eq!(row.to_line().unwrap(), text);
        let names: Vec<String> = row.measured().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["fans", "throughput"]);
    }
}
