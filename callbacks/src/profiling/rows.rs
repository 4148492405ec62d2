//! Rows of `timing.jsonl`.
use std::path::Path;

use catena_chain::Context;
use catena_record::logs::LogFile;
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// The rows that a callback adds to `timing.jsonl` in the run directory; without one, nowhere. A file that can't be written is told
/// of once in the log, and the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    file: Option<LogFile>,
    is_open: bool,
}

impl Rows {
    /// Adds a row: the time, the train batch, and these.
    pub(crate) fn add<const N: usize>(&mut self, cx: &Context, values: [(&str, Value); N]) {
        if cx.resuming() {
            return; // the resume may still be refused
        }
        if !std::mem::replace(&mut self.is_open, true) {
            self.file = cx.run_dir().and_then(open);
        }
        let Some(file) = &mut self.file else { return };
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut row = Map::new();
        row.insert("time".into(), time.into());
        row.insert("global_batch".into(), json!(cx.global_batch()));
        row.extend(values.map(|(name, value)| (name.to_owned(), value)));
        file.line(&Value::Object(row).to_string());
        file.write();
    }
}

fn open(dir: &Path) -> Option<LogFile> {
    let path = dir.join("timing.jsonl");
    let opened = LogFile::append(&path);
    opened.inspect_err(|error| log::warn!("{} can't be written: {error}", path.display())).ok()
}
