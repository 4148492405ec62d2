//! `timing.jsonl`: the time of batches, what snapshots cost, and whatever else the clock says.
use std::path::Path;

use catena_record::SnapshotName;
use chrono::DateTime;
use serde_json::{Map, Value};

use super::curve::Point;
use super::record::{Name, Record, Topic, number};
use super::rows::Rows;
use super::spans::{self, Span};
use crate::failure::{Failure, Result};

type Row = Map<String, Value>;

/// What says where a row belongs, and what `checkpoints` reads.
const PLACE: [&str; 13] = [
    "time",
    "stage",
    "epoch",
    "loader",
    "scope",
    "batch",
    "global_step",
    "global_batch",
    "snapshot",
    "stall",
    "wait",
    "share",
    "seconds",
];

/// Reads the file, if it is there: once for the clock and the snapshots, once for what is measured against it.
pub(crate) fn read(run: &Path, record: &mut Record) -> Result<()> {
    let path = run.join("timing.jsonl");
    let io = || Failure::io("can't read", &path);
    let Some(mut rows) = Rows::open(&path)? else { return Ok(()) };
    let mut start = record.about.started.as_deref().and_then(seconds);
    while let Some(row) = rows.next::<Row>().map_err(io())? {
        let time = row.get("time").and_then(Value::as_str).and_then(seconds);
        start = start.or(time);
        let snapshot = row.get("snapshot").and_then(Value::as_str);
        if let Some(name) = snapshot {
            super::checkpoints::timed(record, name, &row);
        }
        let is_late = row.contains_key("write");
        let batch =
            batch_of(&row).or_else(|| Some(snapshot?.parse::<SnapshotName>().ok()?.global_batch as f64));
        if let (Some(batch), Some(time), Some(start), false) = (batch, time, start, is_late) {
            record.clock.add(batch, time - start);
        }
    }
    record.note_damaged("timing.jsonl", rows.damaged);
    let ended = record.about.ended.as_deref().and_then(seconds);
    if let (Some((batch, _)), Some(ended), Some(start)) = (record.steps.last(), ended, start)
        && record.clock.last().is_none_or(|(known, _)| known < batch)
    {
        record.clock.add(batch, ended - start);
    }

    let Some(mut rows) = Rows::open(&path)? else { return Ok(()) };
    while let Some(row) = rows.next::<Row>().map_err(io())? {
        if row.contains_key("snapshot") {
            continue;
        }
        let time = row.get("time").and_then(Value::as_str).and_then(seconds).zip(start);
        let batch = batch_of(&row).or_else(|| record.clock.batch_at(time.map(|(time, start)| time - start)?));
        for (name, value) in row.iter().filter(|(name, _)| !PLACE.contains(&name.as_str())) {
            match (name.as_str(), batch) {
                ("timings", _) => timings(value, record),
                ("syncs", _) => syncs(value, record),
                (name, Some(batch)) => {
                    let step = record.steps.at(batch).unwrap_or(batch);
                    let loader = row.get("loader").and_then(Value::as_str).unwrap_or_default();
                    numbers(name, value, loader, (step, batch), record);
                }
                (_, None) => {}
            }
        }
    }
    Ok(())
}

fn batch_of(row: &Row) -> Option<f64> {
    row.get("global_batch")?.as_f64()
}

/// Seconds of a time as catena writes it.
fn seconds(time: &str) -> Option<f64> {
    Some(DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis() as f64 / 1000.0)
}

/// Kinds of memory, in bytes, which share a chart.
const MEMORY: &str = "memory";
const MIB: f64 = 1_048_576.0;

/// How deep values may lie in each other.
const DEEPEST: usize = 4;

/// The numbers below a value, each a curve of its own.
fn numbers(path: &str, value: &Value, loader: &str, (step, batch): (f64, f64), record: &mut Record) {
    match value {
        Value::Object(map) if path.matches('/').count() < DEEPEST => {
            map.iter().for_each(|(name, value)| {
                numbers(&format!("{path}/{name}"), value, loader, (step, batch), record);
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
                record.push(name, Point { step, batch, value });
            }
        }
    }
}

/// Adds up the times of events, callbacks and loaders. Those of a run that went on are only of its later part.
fn timings(rows: &Value, record: &mut Record) {
    for row in rows.as_array().into_iter().flatten() {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let (event, callback, loader) = (text("event"), text("callback"), text("loader"));
        let Some(seconds) = row.get("seconds").and_then(Value::as_f64) else { continue };
        let calls = row.get("calls").and_then(Value::as_u64);
        let span = Span { seconds, calls, longest: row.get("longest").and_then(Value::as_f64) };
        // the time of an evaluation is that of its hooks
        if event != "evaluation" {
            record.spans.add("callback", if callback.is_empty() { event } else { callback }, &span);
            record.spans.add("event", event, &span);
        }
        let parts = [event, callback, loader].into_iter().filter(|part| !part.is_empty());
        record.spans.add(spans::DETAIL, &parts.collect::<Vec<_>>().join(" · "), &span);
    }
}

/// Adds up how many values callbacks made the host wait for.
fn syncs(rows: &Value, record: &mut Record) {
    for row in rows.as_array().into_iter().flatten() {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("event"), text("callback"));
        if record.syncs.len() < MOST_SYNCS || record.syncs.contains_key(&key) {
            let sums = record.syncs.entry(key).or_default();
            for (sum, name) in sums.iter_mut().zip(["scalars", "copies", "sizes"]) {
                *sum = sum.saturating_add(row.get(name).and_then(Value::as_u64).unwrap_or_default());
            }
        }
    }
}

const MOST_SYNCS: usize = 1000;
