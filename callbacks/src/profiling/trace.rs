//! A Chrome trace: slices of time that Perfetto and `chrome://tracing` draw.
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use catena_chain::Event;
use serde::Serialize;
use serde_json::json;

use super::Timings;

/// What a slice is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A row of the table.
    Work(usize),
    /// Where the run is, by the event that began it: its number, and for a loader the number of its name.
    Place(Event, u64),
}

#[derive(Debug)]
struct Slice {
    what: What,
    begin: Duration,
    spent: Duration,
    batch: u64,
}

/// Slices of a run, so many and no more.
#[derive(Debug)]
pub(super) struct Trace {
    began: Instant,
    slices: Vec<Slice>,
    most: usize,
    left_out: u64,
    loaders: Vec<String>,
}

/// An event of the trace event format: `X` is a slice, `M` a name.
#[derive(Serialize)]
struct TraceEvent<'a> {
    name: &'a str,
    cat: &'a str,
    ph: &'a str,
    ts: f64,
    dur: f64,
    pid: u32,
    tid: u32,
    args: serde_json::Value,
}

const PLACES: u32 = 1;
const WORK: u32 = 2;

impl Trace {
    pub(super) fn new(most: usize) -> Self {
        Self { began: Instant::now(), slices: Vec::new(), most, left_out: 0, loaders: Vec::new() }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn add(&mut self, what: What, begin: Instant, end: Instant, batch: u64) {
        if self.slices.len() >= self.most {
            self.left_out += 1;
            return;
        }
        let (begin, spent) =
            (begin.saturating_duration_since(self.began), end.saturating_duration_since(begin));
        self.slices.push(Slice { what, begin, spent, batch });
    }

    /// A loader's number, for its place.
    pub(super) fn loader(&mut self, name: &str) -> u64 {
        let known = self.loaders.iter().position(|loader| loader == name);
        known.unwrap_or_else(|| {
            self.loaders.push(name.to_owned());
            self.loaders.len() - 1
        }) as u64
    }

    /// How many slices were not kept.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Writes the JSON object format, with times in microseconds.
    pub(super) fn write(&self, path: &Path, timings: &Timings) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        for (tid, name) in [(PLACES, "the run"), (WORK, "callbacks")] {
            let args = json!({ "name": name });
            let (cat, ph) = ("__metadata", "M");
            let event = TraceEvent { name: "thread_name", cat, ph, ts: 0.0, dur: 0.0, pid: 1, tid, args };
            serde_json::to_writer(&mut file, &event)?;
            file.write_all(b",\n")?;
        }
        for slice in &self.slices {
            serde_json::to_writer(&mut file, &self.event(slice, timings))?;
            file.write_all(b",\n")?;
        }
        let args = json!({ "name": "catena" });
        let (name, cat, ph) = ("process_name", "__metadata", "M");
        let last = TraceEvent { name, cat, ph, ts: 0.0, dur: 0.0, pid: 1, tid: PLACES, args };
        serde_json::to_writer(&mut file, &last)?;
        writeln!(file, "\n],\"otherData\":{{\"slices_left_out\":\"{}\"}}}}", self.left_out)?;
        file.flush()
    }

    fn event<'a>(&'a self, slice: &Slice, timings: &'a Timings) -> TraceEvent<'a> {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let (ts, dur, pid) = (micros(slice.begin), micros(slice.spent), 1);
        let (name, cat, tid, args) = match slice.what {
            What::Work(row) => {
                let row = timings.rows().get(row);
                let (event, callback) =
                    row.map_or(("", ""), |row| (row.event.as_str(), row.callback.as_str()));
                let name = if callback.is_empty() { event } else { callback };
                let loader = row.map_or("", |row| row.loader.as_str());
                (name, event, WORK, json!({ "loader": loader, "global_batch": slice.batch }))
            }
            What::Place(event, number) => {
                let cat = event.name().trim_end_matches("_start");
                let loader = || self.loaders.get(usize::try_from(number).ok()?);
                match event {
                    Event::LoaderStart => {
                        let name = loader().map_or(cat, String::as_str);
                        (name, cat, PLACES, json!({ "global_batch": slice.batch }))
                    }
                    _ => (cat, cat, PLACES, json!({ "number": number, "global_batch": slice.batch })),
                }
            }
        };
        TraceEvent { name, cat, ph: "X", ts, dur, pid, tid, args }
    }
}
