//! What took how long: by callback and event, from `timing.jsonl` and a Chrome trace.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

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

/// How many names are kept, and the largest trace that is read.
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

    /// Adds the slices of `trace.json`, if it is there and nothing tells the same already: it may hold only the first ones.
    pub(crate) fn read_trace(&mut self, run: &Path, notes: &mut Vec<String>) -> Result<()> {
        let path = run.join("trace.json");
        if !self.0.is_empty() || !path.is_file() {
            return Ok(());
        }
        let io = || Failure::io("can't read", &path);
        let file = File::open(&path).map_err(io())?;
        if file.metadata().map_err(io())?.len() > MOST_BYTES {
            notes.push("trace.json is larger than 256 MiB and left out".into());
            return Ok(());
        }
        let Ok(trace) = serde_json::from_reader(BufReader::new(file)) else {
            notes.push("trace.json is no whole Chrome trace (yet) and left out".into());
            return Ok(());
        };
        let (Trace::Whole { events } | Trace::Events(events)) = trace;
        for TraceEvent { name, cat, ph, dur } in events {
            if let (true, Some(micros)) = (ph == "X", dur.as_f64()) {
                let seconds = micros / 1e6;
                let name = if cat.is_empty() { name } else { format!("{cat} · {name}") };
                self.add(
                    "slice of trace.json",
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
