//! A run's journal, read line by line.
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::{Failure, Result};
use crate::run_directory::HINT;

/// A line: what a step did.
pub(crate) type Line = Map<String, Value>;

/// The longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// A run's journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: BufReader<File>,
    line: usize,
    /// Whether its last line was cut short, as by a process that was killed.
    pub(crate) torn: bool,
}

impl Journal {
    /// The journal of a run directory, or the file itself.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let at = path.display();
        if !path.exists() {
            return Err(Failure::Usage(format!("there is no directory {at}; {HINT}")));
        }
        let file = if path.is_dir() { path.join("journal.jsonl") } else { path.to_owned() };
        if !file.is_file() {
            return Err(Failure::Usage(format!(
                "{at} has no journal.jsonl, so its steps can't be compared; {HINT}"
            )));
        }
        let opened = File::open(&file).map_err(Failure::io("can't read", &file))?;
        Ok(Self { path: file, file: BufReader::new(opened), line: 0, torn: false })
    }

    /// The next line, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        read.map_err(Failure::io("can't read", &self.path))?;
        self.line += 1;
        if bytes.is_empty() {
            return Ok(None);
        }
        let whole = bytes.ends_with(b"\n");
        if !whole && (bytes.len() as u64) < MAX_LINE {
            self.torn = true;
            return Ok(None);
        }
        let why = if whole { None } else { Some(format!("it is longer than {MAX_LINE} bytes")) };
        let parsed = serde_json::from_slice(&bytes).map_err(|error| why.unwrap_or_else(|| error.to_string()));
        parsed.map(Some).map_err(|why| {
            Failure::Damaged(format!("{} is damaged: line {}: {why}", self.path.display(), self.line))
        })
    }

    /// The last line of those that are left.
    pub(crate) fn last(&mut self) -> Result<Option<Line>> {
        let mut last = None;
        while let Some(line) = self.next()? {
            last = Some(line);
        }
        Ok(last)
    }
}

/// Where in the run a line is, in words.
pub(crate) fn place(line: &Line) -> String {
    let text = |key: &str| match line.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".into(),
    };
    let [step, batch, epoch, stage] = ["global_step", "global_batch", "epoch", "stage"].map(text);
    format!("step {step} (batch {batch}, epoch {epoch}, stage `{stage}`)")
}
