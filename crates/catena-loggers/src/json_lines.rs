//! `metrics.jsonl`: a JSON object a line.
use std::io::Write as _;
use std::path::PathBuf;

use catena_record::formats::metrics::{BATCH, Metric, Metrics, MetricsRow, NAME};
use catena_record::logs::{LogFile, Mark};
use serde_json::Value as Json;

use crate::array::Array;
use crate::error::Result;
use crate::file::make_folder;
use crate::logger::{Entry, Logger, Position, RunInfo, Scope};
use crate::payload::{Payload, Scalars};

/// Writes metrics to `RUN/metrics.jsonl`, a line for each loader and epoch, for each batch where that is asked for, and (with an
/// empty `loader`) for each event outside of loaders that logs.
///
/// ```text
/// {"stage":"train","epoch":1,"loader":"valid","global_step":45,"global_batch":45,"metrics":{"loss":0.3107,"accuracy@1":0.9109}}
/// {"stage":"train","epoch":2,"loader":"train","scope":"batch","batch":1,"global_step":46,"global_batch":46,"metrics":{"loss":0.25}}
/// ```
///
/// Arrays stand among the metrics of their row, as lists in lists: `"confusion_matrix":[[3.0,1.0],[0.0,2.0]]`. A row has at most
/// 32,768 numbers of arrays; those that would go beyond are left out, and the first time the log says so.
///
/// Numbers read back to the same bits; `"inf"`, `"-inf"` and `"nan"` are strings. No line holds what a clock says. On resume the
/// file is cut back to where it was at the snapshot.
///
/// ```
/// use catena_loggers::{JsonLines, Logger};
///
/// assert_eq!(JsonLines::new().name(), "JsonLines");
/// ```
#[derive(Debug, Default)]
pub struct JsonLines {
    path: PathBuf,
    file: Option<LogFile>,
    position: Option<Mark>,
    /// Arrays whose row has not come yet.
    arrays: Vec<Entry>,
    told: bool,
}

/// How many numbers of arrays a row has at most: lines stay below a mebibyte.
const MOST: usize = 1 << 15;

impl JsonLines {
    /// Into the run directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file, which is there once the logger has begun.
    fn file(&mut self) -> Result<&mut LogFile> {
        Ok(self.file.as_mut().ok_or("the logger has not begun")?)
    }

    fn folder(&mut self, run: &RunInfo) -> Result<()> {
        let folder = run.needs_dir("JsonLines")?;
        make_folder(folder)?;
        self.path = folder.join(NAME);
        Ok(())
    }

    /// Writes a row with these numbers and the arrays that belong to it.
    fn row(&mut self, entry: &Entry, scalars: &Scalars) -> Result<()> {
        let (mut arrays, mut room) = (Vec::new(), MOST);
        for (name, array) in self.arrays.extract_if(.., |other| other.is_with(entry)).filter_map(array_of) {
            let n = array.values().len();
            match room.checked_sub(n) {
                Some(left) => {
                    room = left;
                    arrays.push((name, array));
                }
                None if !std::mem::replace(&mut self.told, true) => {
                    let path = self.path.display();
                    log::warn!(
                        "{path}: {name} has {n} numbers and is left out: a row has at most {MOST} of arrays"
                    );
                }
                None => {}
            }
        }
        if arrays.is_empty() && matches!(entry.payload, Payload::Array { .. }) {
            return Ok(()); // it was left out
        }
        let (scope, batch) = match entry.scope {
            Scope::Batch(batch) => (Some(BATCH), Some(batch)),
            Scope::Loader | Scope::Run => (None, None),
        };
        let numbers = scalars.iter().map(|(name, number)| (name.into(), Metric::Number(number)));
        let arrays = arrays.iter().map(|(name, array)| (name.into(), Metric::Array(array.rows())));
        let line = MetricsRow {
            stage: (&*entry.stage).into(),
            epoch: entry.epoch,
            loader: (&*entry.loader).into(),
            scope: scope.map(Into::into),
            batch,
            global_step: entry.global_step,
            global_batch: entry.global_batch,
            metrics: Metrics(numbers.chain(arrays).collect()),
        };
        let buffer = self.file()?.buffer();
        serde_json::to_writer(&mut *buffer, &line)?;
        Ok(writeln!(buffer)?)
    }

    /// Arrays for which no row came get one of their own.
    fn finish(&mut self) -> Result<()> {
        while let Some(entry) = self.arrays.first().cloned() {
            self.row(&entry, &Scalars::default())?;
        }
        Ok(())
    }
}

impl Logger for JsonLines {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.folder(run)?;
        self.file = Some(LogFile::create(&self.path, b"")?);
        Ok(())
    }

    fn go_on(&mut self, run: &RunInfo, position: Position) -> Result<()> {
        let Some(mark) = position.files.get(NAME) else { return self.start(run) };
        self.folder(run)?;
        self.file = Some(LogFile::go_on(&self.path, mark)?);
        Ok(())
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        match &entry.payload {
            Payload::Scalars(scalars) => self.row(entry, scalars),
            Payload::Array { .. } => {
                self.arrays.push(entry.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        self.finish()?;
        self.file()?.write();
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.finish()?;
        self.position = Some(self.file()?.sync()?);
        Ok(())
    }

    fn position(&self) -> Position {
        let files = self.position.clone().map(|mark| (NAME.to_owned(), mark));
        Position { json: Json::Null, files: files.into_iter().collect() }
    }
}

fn array_of(entry: Entry) -> Option<(String, Array)> {
    match entry.payload {
        Payload::Array { name, array } => Some((name, array)),
        _ => None,
    }
}
