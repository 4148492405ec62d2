//! `journal.jsonl`, as curves: the loss, the learning rate and the gradients' norm of each step; and the steps that were skipped.
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::curve::Point;
use super::record::{Name, Record, Topic, number};
use super::rows::Rows;
use crate::failure::{Failure, Result};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    stage: String,
    #[serde(default)]
    epoch: u64,
    global_batch: u64,
    global_step: u64,
    #[serde(default)]
    lr: Value,
    /// None if the step was made.
    outcome: Option<String>,
    /// A float's bits.
    loss: Option<String>,
    #[serde(default)]
    grad_norm: Value,
}

/// Reads the file, if it is there.
pub(crate) fn read(run: &Path, record: &mut Record) -> Result<()> {
    let path = run.join("journal.jsonl");
    let Some(mut rows) = Rows::open(&path)? else { return Ok(()) };
    let mut last = None;
    while let Some(row) = rows.next::<Row>().map_err(Failure::io("can't read", &path))? {
        let (step, batch) = (row.global_step as f64, row.global_batch as f64);
        let loss = row.loss.and_then(|bits| u64::from_str_radix(&bits, 16).ok()).map(f64::from_bits);
        for (topic, chart, value) in [
            (Topic::Metric, "loss", loss),
            (Topic::Optimization, "lr", number(&row.lr)),
            (Topic::Optimization, "grad_norm", number(&row.grad_norm)),
        ] {
            if let Some(value) = value {
                let name = Name { topic, chart: chart.into(), of: "each step".into(), is_fine: true };
                record.push(name, Point { step, batch, value });
            }
        }
        if row.epoch > 0 {
            record.saw_epoch(&row.stage, row.epoch, row.global_batch);
        }
        if let Some(who) = row.outcome {
            record.skipped.add(who, row.global_batch);
        }
        last = Some((batch, step));
    }
    if let Some((batch, step)) = last
        && record.steps.last().is_none_or(|(known, _)| known < batch)
    {
        record.steps.add(batch, step);
    }
    record.note_damaged("journal.jsonl", rows.damaged);
    Ok(())
}
