//! `timing.jsonl`: the time of batches, what snapshots cost, and whatever else the clock says.
use std::collections::BTreeMap;
use std::path::Path;

use catena_record::SnapshotName;
use catena_record::float::number;
use catena_record::formats::timing::{CallbackTime, NAME, SyncCounts, TimingRow};
use serde_json::Value;

use super::checkpoints::{self, Checkpoints};
use super::notes::Notes;
use super::ruler::Ruler;
use super::spans::{self, Span, Spans};
use crate::failure::{Failure, Result};
use crate::model::curve::Point;
use crate::model::curves::Curves;
use crate::model::lines::Lines;
use crate::model::name::{Name, Topic};
use crate::model::plan::Plan;
use crate::model::time::seconds;

/// What the clock says.
#[derive(Debug)]
pub(crate) struct Timing {
    /// Seconds since the start, by batch.
    pub(crate) clock: Ruler,
    /// What is known of the snapshots that were taken.
    pub(crate) taken: Checkpoints,
    pub(crate) curves: Curves,
    pub(crate) spans: Spans,
    pub(crate) syncs: Syncs,
    pub(crate) notes: Notes,
}

/// How many numbers, tensors and sizes callbacks made the host wait for, by event and callback.
pub(crate) type Syncs = BTreeMap<(String, String), [u64; 3]>;

/// Where a row of another program belongs: no number to be shown.
const PLACE: [&str; 5] = ["stage", "epoch", "scope", "batch", "global_step"];

/// Reads the file, if it is there: once for the clock and the snapshots, once for what is measured against it.
pub(crate) fn read(run: &Path, plan: &Plan, steps: &Ruler) -> Result<Timing> {
    let path = run.join(NAME);
    let io = || Failure::io("can't read", &path);
    let mut timing = Timing {
        clock: Ruler::from_zero(),
        taken: Checkpoints::new(),
        curves: Curves::default(),
        spans: Spans::default(),
        syncs: Syncs::new(),
        notes: Notes::default(),
    };
    let Some(mut lines) = Lines::open(&path)? else { return Ok(timing) };
    let (mut start, mut damaged) = (plan.started(), 0);
    while let Some(line) = lines.next().map_err(io())? {
        let Some(row) = line.row::<TimingRow>(&mut damaged) else { continue };
        let time = seconds(&row.time);
        start = start.or(time);
        if let Some(name) = &row.snapshot {
            checkpoints::timed(&mut timing.taken, name, &row);
        }
        let of_snapshot = || Some(row.snapshot.as_ref()?.parse::<SnapshotName>().ok()?.global_batch);
        let batch = row.global_batch.or_else(of_snapshot).map(|batch| batch as f64);
        // the row of a snapshot that was written comes late
        if let (Some(batch), Some(time), Some(start), None) = (batch, time, start, row.write) {
            timing.clock.add(batch, time - start);
        }
    }
    timing.notes.damaged_lines(NAME, damaged);
    if let (Some((batch, _)), Some(ended), Some(start)) = (steps.last(), plan.ended(), start)
        && timing.clock.last().is_none_or(|(known, _)| known < batch)
    {
        timing.clock.add(batch, ended - start);
    }

    let Some(mut lines) = Lines::open(&path)? else { return Ok(timing) };
    while let Some(line) = lines.next().map_err(io())? {
        if let Some(row) = line.row::<TimingRow>(&mut damaged).filter(|row| row.snapshot.is_none()) {
            timing.measured(&row, start, steps);
        }
    }
    Ok(timing)
}

impl Timing {
    /// Takes over what a row says was measured.
    fn measured(&mut self, row: &TimingRow, start: Option<f64>, steps: &Ruler) {
        row.timings.iter().flatten().for_each(|row| add_time(row, &mut self.spans));
        row.syncs.iter().flatten().for_each(|row| add_syncs(row, &mut self.syncs));
        let time = seconds(&row.time).zip(start);
        let at_time = || self.clock.batch_at(time.map(|(time, start)| time - start)?);
        let Some(batch) = row.global_batch.map(|batch| batch as f64).or_else(at_time) else { return };
        let at = (steps.at(batch).unwrap_or(batch), batch);
        let loader = row.loader.as_deref().unwrap_or_default();
        // what was read as JSON is JSON
        for (name, value) in row.measured().unwrap_or_default() {
            if !PLACE.contains(&name.as_str()) {
                numbers(&name, &value, loader, at, &mut self.curves);
            }
        }
    }
}

/// Kinds of memory, in bytes, which share a chart.
const MEMORY: &str = "memory";
const MIB: f64 = 1_048_576.0;

/// How deep values may lie in each other.
const DEEPEST: usize = 4;

/// The numbers below a value, each a curve of its own.
fn numbers(path: &str, value: &Value, loader: &str, (step, batch): (f64, f64), curves: &mut Curves) {
    match value {
        Value::Object(map) if path.matches('/').count() < DEEPEST => {
            map.iter().for_each(|(name, value)| {
                numbers(&format!("{path}/{name}"), value, loader, (step, batch), curves);
            });
        }
        value => {
            if let Some(value) = number(value) {
                let (chart, of, value) = match path.split_once('/') {
                    Some((MEMORY, of)) => (MEMORY, of, value / MIB),
                    _ => (path, loader, value),
                };
                let (chart, of) = (chart.to_owned(), of.to_owned());
                let name = Name { topic: Topic::Speed, chart, of, is_fine: false };
                curves.push(name, Point { step, batch, value });
            }
        }
    }
}

/// Adds up the times of events, callbacks and loaders. Those of a run that went on are only of its later part.
fn add_time(row: &CallbackTime, spans: &mut Spans) {
    let CallbackTime { event, callback, loader, calls, seconds, longest } = row;
    let Some(seconds) = *seconds else { return };
    let span = Span { seconds, calls: *calls, longest: *longest };
    // the time of an evaluation is that of its hooks
    if event != "evaluation" {
        spans.add("callback", if callback.is_empty() { event } else { callback }, &span);
        spans.add("event", event, &span);
    }
    let parts = [event, callback, loader].into_iter().filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    spans.add(spans::DETAIL, &parts.join(" · "), &span);
}

/// Adds up how many values callbacks made the host wait for.
fn add_syncs(row: &SyncCounts, syncs: &mut Syncs) {
    let SyncCounts { event, callback, scalars, copies, sizes } = row;
    let key = (event.clone(), callback.clone());
    if syncs.len() < MOST_SYNCS || syncs.contains_key(&key) {
        for (sum, n) in syncs.entry(key).or_default().iter_mut().zip([scalars, copies, sizes]) {
            *sum = sum.saturating_add(*n);
        }
    }
}

const MOST_SYNCS: usize = 1000;
