//! What is known of a run's snapshots: what they cost, and what the table of contents of those that are kept says.
use std::collections::BTreeMap;
use std::path::Path;

use catena_record::{Listed, SnapshotName};
use serde_json::{Map, Value};

use super::curve::Point;
use super::record::{Name, Record, Topic};
use crate::failure::Result;
use crate::report::count;
use crate::snapshots::Run;

/// A snapshot that was taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) bytes: Option<u64>,
    /// Seconds in which the writer wrote it.
    pub(crate) write: Option<f64>,
    /// Seconds of the training thread: copying, and waiting for the one before.
    pub(crate) stall: Option<f64>,
    pub(crate) wait: Option<f64>,
    pub(crate) why: String,
    pub(crate) measured: BTreeMap<String, f64>,
    /// `ok` or what is wrong with it; none if it is not kept.
    pub(crate) state: Option<String>,
    pub(crate) is_best: bool,
}

/// The snapshots by name.
pub(crate) type Checkpoints = BTreeMap<SnapshotName, Checkpoint>;

/// How many are remembered: the newest.
const MOST: usize = 20_000;

/// Takes over what a row of `timing.jsonl` says of a snapshot.
pub(crate) fn timed(record: &mut Record, name: &str, row: &Map<String, Value>) {
    let Ok(name) = name.parse() else { return };
    let checkpoint = record.checkpoints.entry(name).or_default();
    let field = |name: &str| row.get(name).and_then(Value::as_f64);
    checkpoint.bytes = row.get("bytes").and_then(Value::as_u64).or(checkpoint.bytes);
    checkpoint.write = field("write").or(checkpoint.write);
    checkpoint.stall = field("stall").or(checkpoint.stall);
    checkpoint.wait = field("wait").or(checkpoint.wait);
    if record.checkpoints.len() > MOST {
        record.checkpoints.pop_first();
    }
}

/// Looks at those that are kept, and makes curves of what all of them cost.
pub(crate) fn examine(path: &Path, record: &mut Record) -> Result<()> {
    for (name, checkpoint) in record.checkpoints.clone() {
        let batch = name.global_batch as f64;
        let step = record.steps.at(batch).unwrap_or(batch);
        for (of, value) in
            [("stall", checkpoint.stall), ("wait", checkpoint.wait), ("write", checkpoint.write)]
        {
            if let Some(value) = value {
                let name = Name {
                    topic: Topic::Checkpoint,
                    chart: "checkpoint".into(),
                    of: of.into(),
                    is_fine: false,
                };
                record.push(name, Point { step, batch, value });
            }
        }
    }
    if !path.join("checkpoints").is_dir() {
        return Ok(());
    }
    let run = Run::open(path)?;
    let mut all = run.examine(false)?;
    if let Some((name, newest)) = all.last_mut() {
        newest.check_logs(path);
        record.notes.extend(
            newest.logs.iter().map(|log| format!("{log}, so that the run can't go on from {name} as it is")),
        );
        record.notes.extend(newest.lost().iter().map(|lost| format!("{lost} that could not be written")));
    }
    for (name, examined) in all {
        let checkpoint = record.checkpoints.entry(name).or_default();
        checkpoint.bytes = examined.bytes().or(checkpoint.bytes);
        checkpoint.state = Some(examined.state());
        match examined.manifest {
            Ok(manifest) => {
                checkpoint.why = manifest.why.join(", ");
                checkpoint.measured = manifest.measured;
            }
            Err(_) => {
                let state = checkpoint.state.clone().unwrap_or_default();
                record.notes.push(format!("checkpoint {name} is {state}"));
                record.damaged = true;
            }
        }
    }
    mark_best(record);
    for (names, what) in
        [(run.corrupt()?, "set aside as damaged when the run went on"), (run.aside()?, "never gone on from")]
    {
        if !names.is_empty() {
            let few: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
            let more = if names.len() > few.len() { ", …" } else { "" };
            let (n, few) = (count(names.len(), "checkpoint"), few.join(", "));
            record.notes.push(format!("{n} {what}: {few}{more}"));
        }
    }
    Ok(())
}

/// Marks the best of those that are kept, by the metric that the run chooses by.
fn mark_best(record: &mut Record) {
    let Some(by) = &record.about.best_by else { return };
    let listed = |(name, checkpoint): (&SnapshotName, &Checkpoint)| Listed {
        name: *name,
        sequence: 0,
        stage: String::new(),
        measured: checkpoint.measured.clone(),
    };
    let listed: Vec<Listed> = record.checkpoints.iter().map(listed).collect();
    let best = by.ranked(&listed).first().map(|best| best.name);
    if let Some(checkpoint) = best.and_then(|name| record.checkpoints.get_mut(&name)) {
        checkpoint.is_best = true;
    }
}
