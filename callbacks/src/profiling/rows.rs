//! Rows of `timing.jsonl`.
use std::path::Path;

use catena_chain::Context;
use catena_record::formats::timing::{NAME, TimingRow};
use catena_record::logs::LogFile;
use chrono::{SecondsFormat, Utc};

/// The rows that a callback adds to `timing.jsonl` in the run directory; without one, nowhere. A file that can't be written is told
/// of once in the log, and the run goes on.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    file: Option<LogFile>,
    is_open: bool,
}

impl Rows {
    /// Adds a row, with the time and the train batch.
    pub(crate) fn add(&mut self, cx: &Context, row: TimingRow) {
        if cx.resuming() {
            return; // the resume may still be refused
        }
        if !std::mem::replace(&mut self.is_open, true) {
            self.file = cx.run_dir().and_then(open);
        }
        let Some(file) = &mut self.file else { return };
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let row = TimingRow { time, global_batch: Some(cx.global_batch()), ..row };
        match row.to_line() {
            Ok(line) => file.line(&line),
            Err(error) => log::warn!("a row of {NAME} can't be written: {error}"),
        }
        file.write();
    }
}

fn open(dir: &Path) -> Option<LogFile> {
    let path = dir.join(NAME);
    let opened = LogFile::append(&path);
    opened.inspect_err(|error| log::warn!("{} can't be written: {error}", path.display())).ok()
}
