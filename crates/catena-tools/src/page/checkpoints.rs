//! What is known of a run's snapshots: what they cost, and what the table of contents of those that are kept says.
use std::collections::BTreeMap;
use std::path::Path;

use catena_record::SnapshotName;
use catena_record::formats::timing::TimingRow;
use catena_record::retention::KeepBest;

use super::notes::Notes;
use super::ruler::Ruler;
use crate::failure::Result;
use crate::model::curve::Point;
use crate::model::curves::Curves;
use crate::model::name::{Name, Topic};
use crate::model::ranking;
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
pub(crate) fn timed(checkpoints: &mut Checkpoints, name: &str, row: &TimingRow) {
    let Ok(name) = name.parse() else { return };
    let checkpoint = checkpoints.entry(name).or_default();
    checkpoint.bytes = row.bytes.or(checkpoint.bytes);
    checkpoint.write = row.write.or(checkpoint.write);
    checkpoint.stall = row.stall.or(checkpoint.stall);
    checkpoint.wait = row.wait.or(checkpoint.wait);
    if checkpoints.len() > MOST {
        checkpoints.pop_first();
    }
}

/// Curves of what snapshots cost.
pub(crate) fn costs(checkpoints: &Checkpoints, steps: &Ruler) -> Curves {
    let mut curves = Curves::default();
    for (name, checkpoint) in checkpoints {
        let batch = name.global_batch as f64;
        let step = steps.at(batch).unwrap_or(batch);
        for (of, value) in
            [("stall", checkpoint.stall), ("wait", checkpoint.wait), ("write", checkpoint.write)]
        {
            if let Some(value) = value {
                let (topic, chart) = (Topic::Checkpoint, "checkpoint".into());
                curves
                    .push(Name { topic, chart, of: of.into(), is_fine: false }, Point { step, batch, value });
            }
        }
    }
    curves
}

/// Looks at those that are kept, and marks the best of them.
pub(crate) fn examine(
    path: &Path,
    mut checkpoints: Checkpoints,
    best: Option<KeepBest>,
) -> Result<(Checkpoints, Notes)> {
    let mut notes = Notes::default();
    if !path.join("checkpoints").is_dir() {
        return Ok((checkpoints, notes));
    }
    let run = Run::open(path)?;
    let mut all = run.examine(false)?;
    if let Some((name, newest)) = all.last_mut() {
        newest.check_logs(path);
        for log in &newest.logs {
            notes.add(format!("{log}, so that the run can't go on from {name} as it is"));
        }
        for lost in newest.lost() {
            notes.add(format!("{lost} that could not be written"));
        }
    }
    for (name, examined) in all {
        let checkpoint = checkpoints.entry(name).or_default();
        checkpoint.bytes = examined.bytes().or(checkpoint.bytes);
        checkpoint.state = Some(examined.state());
        match examined.manifest {
            Ok(manifest) => {
                checkpoint.why = manifest.why.join(", ");
                checkpoint.measured = manifest.measured;
            }
            Err(_) => {
                let state = checkpoint.state.clone().unwrap_or_default();
                notes.add(format!("checkpoint {name} is {state}"));
                notes.damaged = true;
            }
        }
    }
    if let Some(best) = best {
        mark_best(&mut checkpoints, &best);
    }
    for (names, what) in
        [(run.corrupt()?, "set aside as damaged when the run went on"), (run.aside()?, "never gone on from")]
    {
        if !names.is_empty() {
            let few: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
            let more = if names.len() > few.len() { ", …" } else { "" };
            let (n, few) = (count(names.len(), "checkpoint"), few.join(", "));
            notes.add(format!("{n} {what}: {few}{more}"));
        }
    }
    Ok((checkpoints, notes))
}

/// Marks the best of those that are kept, by the metric that the run chooses by.
fn mark_best(checkpoints: &mut Checkpoints, by: &KeepBest) {
    let measured = checkpoints.iter().map(|(name, checkpoint)| (*name, &checkpoint.measured));
    let best = ranking::best(by, measured).map(|(name, _)| name);
    if let Some(checkpoint) = best.and_then(|name| checkpoints.get_mut(&name)) {
        checkpoint.is_best = true;
    }
}
