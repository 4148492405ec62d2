//! `journal.jsonl`, as curves: the loss, the learning rate and the gradients' norm of each step; and the steps that were skipped.
use std::path::Path;

use catena_record::formats::journal::{JournalRow, NAME};

use super::epochs::Epochs;
use super::notes::Notes;
use super::skipped::Skipped;
use crate::failure::{Failure, Result};
use crate::model::curve::Point;
use crate::model::curves::Curves;
use crate::model::lines::Lines;
use crate::model::name::{Name, Topic};

/// What the journal tells.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) curves: Curves,
    pub(crate) epochs: Epochs,
    pub(crate) skipped: Skipped,
    /// The batch and the step of the last line.
    pub(crate) last: Option<(f64, f64)>,
    pub(crate) notes: Notes,
}

/// Reads the file, if it is there.
pub(crate) fn read(run: &Path) -> Result<Journal> {
    let (path, mut journal, mut damaged) = (run.join(NAME), Journal::default(), 0);
    let Some(mut lines) = Lines::open(&path)? else { return Ok(journal) };
    while let Some(line) = lines.next().map_err(Failure::io("can't read", &path))? {
        let Some(row) = line.row::<JournalRow>(&mut damaged) else { continue };
        let (step, batch) = (row.global_step as f64, row.global_batch as f64);
        for (chart, value) in row.numbers() {
            if let Some(value) = value {
                let topic = if chart == "loss" { Topic::Metric } else { Topic::Optimization };
                let name = Name { topic, chart: chart.into(), of: "each step".into(), is_fine: true };
                journal.curves.push(name, Point { step, batch, value });
            }
        }
        if row.epoch > 0 {
            journal.epochs.saw(&row.stage, row.epoch, row.global_batch);
        }
        if let Some(outcome) = row.outcome {
            journal.skipped.add(outcome.into_owned(), row.global_batch);
        }
        journal.last = Some((batch, step));
    }
    journal.notes.damaged_lines(NAME, damaged);
    Ok(journal)
}
