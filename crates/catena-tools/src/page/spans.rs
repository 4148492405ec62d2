//! What took how long: by callback and event, from `timing.jsonl` and a Chrome trace.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::notes::Notes;
use crate::failure::{Failure, Result};

/// The time of all that has one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    pub(crate) calls: Option<u64>,
    pub(crate) longest: Option<f64>,
}

/// Times by group and name.
#[derive(Debug, Default)]
pub(crate) struct Spans(pub(crate) BTreeMap<(String, String), Span>);

/// The group with a name for each event, callback and loader: too many for bars.
pub(crate) const DETAIL: &str = "event, callback and loader";

/// How many names are kept, and how much of traces is read.
const NAMES: usize = 2000;
const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
#[serde(untagged)]
enum Trace {
    Whole {
        #[serde(rename = "traceEvents")]
        events: Vec<TraceEvent>,
    },
    Events(Vec<TraceEvent>),
}

#[derive(Deserialize)]
struct TraceEvent {
    #[serde(default)]
    name: String,
    #[serde(default)]
    cat: String,
    #[serde(default)]
    ph: String,
    /// Microseconds.
    #[serde(default)]
    dur: Value,
}

/// `trace.json`, `trace-2.json` of a run that went on, `trace-stage-0.json` of a stage.
fn is_trace(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|name| name == "trace" || name.starts_with("trace-"))
}

impl Spans {
    pub(crate) fn add(&mut self, group: &str, name: &str, span: &Span) {
        let key = (group.to_owned(), name.to_owned());
        if !span.seconds.is_finite() || self.0.len() >= NAMES && !self.0.contains_key(&key) {
            return;
        }
        let sum = self.0.entry(key).or_default();
        sum.seconds += span.seconds;
        sum.calls = match (sum.calls, span.calls) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        sum.longest = match (sum.longest, span.longest) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }

    /// Adds the slices of the traces, if there are some and nothing tells the same already: they may hold only the first ones.
    pub(crate) fn read_traces(&mut self, run: &Path, notes: &mut Notes) -> Result<()> {
        if !self.0.is_empty() {
            return Ok(());
        }
        let entries = std::fs::read_dir(run).map_err(Failure::io("can't read", run))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| is_trace(name) && run.join(name).is_file()).collect();
        names.sort_unstable();
        let mut room = MOST_BYTES;
        names.iter().try_for_each(|name| self.read_trace(&run.join(name), name, &mut room, notes))
    }

    fn read_trace(&mut self, path: &Path, name: &str, room: &mut u64, notes: &mut Notes) -> Result<()> {
        let io = || Failure::io("can't read", path);
        let file = File::open(path).map_err(io())?;
        let Some(left) = room.checked_sub(file.metadata().map_err(io())?.len()) else {
            notes.add(format!("{name} is left out: of traces, at most 256 MiB are read"));
            return Ok(());
        };
        *room = left;
        let Ok(trace) = serde_json::from_reader(BufReader::new(file)) else {
            notes.add(format!("{name} is no whole Chrome trace (yet) and left out"));
            return Ok(());
        };
        let (Trace::Whole { events } | Trace::Events(events)) = trace;
        for TraceEvent { name, cat, ph, dur } in events {
            if let (true, Some(micros)) = (ph == "X", dur.as_f64()) {
                let seconds = micros / 1e6;
                let name = if cat.is_empty() { name } else { format!("{cat} · {name}") };
                self.add(
                    "slice of the trace",
                    &name,
                    &Span { seconds, calls: Some(1), longest: Some(seconds) },
                );
            }
        }
        Ok(())
    }

    /// The groups, each with its names, the longest first.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<(&str, &Span)>> {
        let mut groups: BTreeMap<&str, Vec<(&str, &Span)>> = BTreeMap::new();
        for ((group, name), span) in &self.0 {
            groups.entry(group).or_default().push((name, span));
        }
        groups.values_mut().for_each(|spans| spans.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds)));
        groups
    }
}
