//! `metrics.jsonl`, as curves.
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::curve::Point;
use super::matrix;
use super::record::{Name, Record, Topic, number};
use super::rows::Rows;
use crate::failure::{Failure, Result};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    stage: String,
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    loader: String,
    #[serde(default)]
    scope: Option<String>,
    global_step: u64,
    global_batch: u64,
    metrics: Map<String, Value>,
}

/// Reads the file, if it is there.
pub(crate) fn read(run: &Path, record: &mut Record) -> Result<bool> {
    let path = run.join("metrics.jsonl");
    let Some(mut rows) = Rows::open(&path)? else { return Ok(false) };
    while let Some(row) = rows.next::<Row>().map_err(Failure::io("can't read", &path))? {
        let is_fine = row.scope.is_some();
        saw(record, &row.stage, row.epoch, &row.loader, row.global_step, row.global_batch);
        let mut cells = Vec::new();
        for (metric, value) in &row.metrics {
            let (step, batch) = (row.global_step as f64, row.global_batch as f64);
            let key = format!("{}/{metric}", row.loader);
            match (number(value), matrix::cell(metric), value) {
                (Some(value), Some((name, at)), _) => {
                    cells.push((format!("{}/{name}", row.loader), at, value))
                }
                (Some(value), None, _) => {
                    record.push(name(&row.loader, metric, is_fine), Point { step, batch, value });
                }
                (None, _, Value::Array(list)) if list.iter().all(|value| number(value).is_some()) => {
                    for (i, value) in list.iter().filter_map(number).enumerate().take(matrix::CLASSES) {
                        let name = name(&row.loader, &format!("{metric}/{i}"), is_fine);
                        record.push(name, Point { step, batch, value });
                    }
                }
                (None, _, Value::Array(_)) => matrix::add(&key, value, record),
                (None, _, _) => {}
            }
        }
        record.matrices.extend(matrix::from_cells(cells));
    }
    record.note_damaged("metrics.jsonl", rows.damaged);
    Ok(true)
}

/// Notes what a row says of axes.
pub(crate) fn saw(record: &mut Record, stage: &str, epoch: u64, loader: &str, step: u64, batch: u64) {
    record.steps.add(batch as f64, step as f64);
    // what is logged when an epoch begins says nothing of its end
    if epoch > 0 && !loader.is_empty() && record.about.may_train(loader) {
        record.saw_epoch(stage, epoch, batch);
    }
}

/// The curve of a metric: `f1_score/0` is class 0 of the chart `f1_score`.
pub(crate) fn name(loader: &str, metric: &str, is_fine: bool) -> Name {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (chart, class) = match metric.rsplit_once('/') {
        Some((chart, class)) if is_number(class) => (chart, Some(class)),
        _ => (metric, None),
    };
    let loader = if loader.is_empty() { "(run)" } else { loader };
    let of = class.map_or_else(|| loader.to_owned(), |class| format!("{loader}, {class}"));
    let of = if is_fine { format!("{of}, each batch") } else { of };
    let parts: Vec<&str> = chart.split('/').collect();
    let is_of_optimizer = ["lr", "momentum", "grad_norm", "param_norm", "loss_scale"]
        .iter()
        .any(|known| parts.first() == Some(known) || parts.last() == Some(known));
    let topic = if is_of_optimizer { Topic::Optimization } else { Topic::Metric };
    Name { topic, chart: chart.to_owned(), of, is_fine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_outside_of_loaders_has_a_label_that_is_no_loaders_name() {
        for (loader, metric, expected) in [
            ("", "gap", ("gap", "(run)")),
            ("run", "gap", ("gap", "run")),
            ("valid", "f1_score/2", ("f1_score", "valid, 2")),
            ("valid", "a/b", ("a/b", "valid")),
        ] {
            let Name { chart, of, .. } = name(loader, metric, false);
            assert_eq!((&*chart, &*of), expected);
        }
    }
}
