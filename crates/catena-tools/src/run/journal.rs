//! A run's journal, read line by line.
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use catena_record::formats::journal::NAME;
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};
use crate::model::lines::{End, Lines};
use crate::run_directory::HINT;

/// A line: what a step did.
pub(crate) type Line = Map<String, Value>;

/// A run's journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
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
        let file = if path.is_dir() { path.join(NAME) } else { path.to_owned() };
        if !file.is_file() {
            return Err(Failure::Usage(format!(
                "{at} has no {NAME}, so its steps can't be compared; {HINT}"
            )));
        }
        let opened = File::open(&file).map_err(Failure::io("can't read", &file))?;
        Ok(Self { path: file, lines: Lines::new(BufReader::new(opened)), torn: false })
    }

    /// The next line, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        let line = self.lines.next().map_err(Failure::io("can't read", &self.path))?;
        let Some(line) = line else { return Ok(None) };
        if line.end == End::CutShort {
            self.torn = true;
            return Ok(None);
        }
        line.read().map(Some).map_err(|why| {
            Failure::Damaged(format!("{} is damaged: line {}: {why}", self.path.display(), line.number))
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
