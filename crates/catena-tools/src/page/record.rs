//! What a run directory holds, read for the page: tolerant of what is missing, damaged or still being written.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoints::{self, Checkpoints};
use super::curve::{Curve, Point};
use super::epochs::Epochs;
use super::matrix::Matrix;
use super::ruler::Ruler;
use super::settings::{self, About};
use super::skipped::Skipped;
use super::spans::Spans;
use super::{csv_files, journal, metrics, timing};
use crate::failure::Result;
use crate::run_directory;

/// A run, read.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What the page calls it.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
    pub(crate) about: About,
    pub(crate) curves: BTreeMap<Name, Curve>,
    pub(crate) matrices: BTreeMap<String, Matrix>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) spans: Spans,
    pub(crate) skipped: Skipped,
    /// How many numbers, tensors and sizes callbacks made the host wait for, by event and callback.
    pub(crate) syncs: BTreeMap<(String, String), [u64; 3]>,
    /// What the reader of the page should know of the reading.
    pub(crate) notes: Vec<String>,
    /// Whether something is damaged.
    pub(crate) damaged: bool,
    /// Steps, epochs and seconds since the start, by batch.
    pub(crate) steps: Ruler,
    pub(crate) epochs: Ruler,
    pub(crate) clock: Ruler,
    epochs_seen: Epochs,
}

/// What a curve is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) topic: Topic,
    /// The chart that it belongs to: the metric's name.
    pub(crate) chart: String,
    /// What tells it from the others of its chart, such as the loader.
    pub(crate) of: String,
    /// A point a batch or a step, not an epoch.
    pub(crate) is_fine: bool,
}

/// The part of the page where a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Metric,
    Optimization,
    Speed,
    Checkpoint,
}

/// How many curves are read of a run.
const CURVES: usize = 400;

impl Record {
    pub(crate) fn read(path: &Path, label: String) -> Result<Self> {
        let parts = ["run.json", "metrics.jsonl", "journal.jsonl", "timing.jsonl", "metrics", "checkpoints"];
        run_directory::check_parts(path, &parts)?;
        let mut record = Self {
            label,
            path: path.to_owned(),
            steps: Ruler::from_zero(),
            clock: Ruler::from_zero(),
            ..Self::default()
        };
        settings::read(path, &mut record)?;
        if !metrics::read(path, &mut record)? {
            csv_files::read(path, &mut record)?;
        }
        journal::read(path, &mut record)?;
        record.epochs = std::mem::take(&mut record.epochs_seen).ruler(&record.about);
        timing::read(path, &mut record)?;
        record.spans.read_traces(path, &mut record.notes)?;
        checkpoints::examine(path, &mut record)?;
        record.clock = std::mem::take(&mut record.clock).thinned(2000);
        record.count_what_is_not_finite();
        Ok(record)
    }

    /// Adds a point to a curve.
    pub(crate) fn push(&mut self, name: Name, point: Point) {
        let left_out = "there are more than 400 names of values; those that came later are left out";
        match self.curves.len() {
            n if n < CURVES || self.curves.contains_key(&name) => {
                self.curves.entry(name).or_default().push(point);
            }
            _ if !self.notes.iter().any(|note| note == left_out) => self.notes.push(left_out.into()),
            _ => {}
        }
    }

    /// Says that an epoch went on to at least this batch.
    pub(crate) fn saw_epoch(&mut self, stage: &str, epoch: u64, batch: u64) {
        self.epochs_seen.saw(stage, epoch, batch);
    }

    /// Tells of lines that were left out.
    pub(crate) fn note_damaged(&mut self, file: &str, lines: u64) {
        if lines > 0 {
            let lines = crate::report::count(usize::try_from(lines).unwrap_or(usize::MAX), "line");
            self.notes.push(format!("{file}: {lines} left out that can't be read"));
            self.damaged = true;
        }
    }

    fn count_what_is_not_finite(&mut self) {
        for (name, curve) in self.curves.iter().filter(|(_, curve)| curve.not_finite > 0) {
            let of = if name.of.is_empty() { String::new() } else { format!(" ({})", name.of) };
            let (chart, some, all) = (&name.chart, curve.not_finite, curve.seen);
            self.notes.push(format!(
                "{chart}{of}: {some} of {all} values are not finite and are gaps in the curve"
            ));
        }
    }
}

/// A number as catena writes it.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(word) => match word.as_str() {
            "nan" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
