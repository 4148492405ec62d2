//! `metrics.jsonl`: a JSON object a line.
use std::io::Write as _;
use std::path::PathBuf;

use catena_chain::Result;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::file::{Growing, make_folder};
use super::number::Number;
use super::{Entry, Logger, Payload, RunInfo, Scalars, Scope};

/// Writes metrics to `RUN/metrics.jsonl`, a line for each loader and epoch, for each batch where that is asked for, and (with an
/// empty `loader`) for each event outside of loaders that logs.
///
/// ```text
/// {"stage":"train","epoch":1,"loader":"valid","global_step":45,"global_batch":45,"metrics":{"loss":0.3107,"accuracy@1":0.9109}}
/// {"stage":"train","epoch":2,"loader":"train","scope":"batch","batch":1,"global_step":46,"global_batch":46,"metrics":{"loss":0.25}}
/// ```
///
/// Numbers read back to the same bits; `"inf"`, `"-inf"` and `"nan"` are strings. No line holds what a clock says. On resume the
/// file is cut back to where it was at the snapshot.
///
/// ```
/// use catena_callbacks::{JsonLines, Loggers};
/// use catena_chain::Every;
///
/// let loggers = Loggers::new().with(JsonLines::new()).batches(Every::Batches(10));
/// ```
#[derive(Debug, Default)]
pub struct JsonLines {
    path: PathBuf,
    file: Option<Growing>,
    position: u64,
}

impl JsonLines {
    /// Into the run directory.
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&mut self) -> Result<&mut Growing> {
        Ok(match &mut self.file {
            Some(file) => file,
            // resumed from a snapshot that knows nothing of this file
            none => none.insert(Growing::after_whole_lines(&self.path)?),
        })
    }
}

impl Logger for JsonLines {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        let folder = run.needs_dir("JsonLines")?;
        make_folder(folder)?;
        self.path = folder.join("metrics.jsonl");
        if !run.resuming {
            self.file = Some(Growing::create(&self.path)?);
        }
        Ok(())
    }

    fn log(&mut self, entry: &Entry) -> Result<()> {
        let Payload::Scalars(scalars) = &entry.payload else { return Ok(()) };
        let (scope, batch) = match entry.scope {
            Scope::Batch(batch) => (Some("batch"), Some(batch)),
            Scope::Loader | Scope::Run => (None, None),
        };
        let line = Line {
            stage: &entry.stage,
            epoch: entry.epoch,
            loader: &entry.loader,
            scope,
            batch,
            global_step: entry.global_step,
            global_batch: entry.global_batch,
            metrics: Metrics(scalars),
        };
        let buffer = self.file()?.buffer();
        serde_json::to_writer(&mut *buffer, &line)?;
        Ok(writeln!(buffer)?)
    }

    fn write(&mut self) -> Result<()> {
        self.file()?.write()
    }

    fn sync(&mut self) -> Result<()> {
        let file = self.file()?;
        let synced = file.sync();
        self.position = file.written();
        synced
    }

    fn position(&self) -> Json {
        self.position.into()
    }

    fn resume(&mut self, position: Json) -> Result<()> {
        self.position = serde_json::from_value(position)?;
        self.file = Some(Growing::cut(&self.path, self.position)?);
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    stage: &'a str,
    epoch: u64,
    loader: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    global_step: u64,
    global_batch: u64,
    metrics: Metrics<'a>,
}

struct Metrics<'a>(&'a Scalars);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Number(value))))
    }
}
