//! `metrics.jsonl`, as curves.
use std::path::Path;

use catena_record::float::number;
use catena_record::formats::metrics::{Metric, MetricsRow, NAME};
use serde_json::Value;

use super::logged::{Logged, name_of};
use super::matrix::{self, CLASSES};
use crate::failure::{Failure, Result};
use crate::model::curve::Point;
use crate::model::lines::Lines;
use crate::model::plan::Plan;

/// Reads the file; none if it is not there.
pub(crate) fn read(run: &Path, plan: &Plan) -> Result<Option<Logged>> {
    let path = run.join(NAME);
    let Some(mut lines) = Lines::open(&path)? else { return Ok(None) };
    let (mut logged, mut damaged) = (Logged::default(), 0);
    while let Some(line) = lines.next().map_err(Failure::io("can't read", &path))? {
        if let Some(row) = line.row::<MetricsRow>(&mut damaged) {
            add(&row, plan, &mut logged);
        }
    }
    logged.notes.damaged_lines(NAME, damaged);
    Ok(Some(logged))
}

fn add(row: &MetricsRow, plan: &Plan, logged: &mut Logged) {
    let is_fine = row.is_of_batch();
    logged.saw(plan, &row.stage, row.epoch, &row.loader, row.global_step, row.global_batch);
    let point = |value| Point { step: row.global_step as f64, batch: row.global_batch as f64, value };
    let mut cells = Vec::new();
    for (metric, value) in &row.metrics.0 {
        match (value, matrix::cell(metric)) {
            (Metric::Number(value), Some((name, at))) => {
                cells.push((format!("{}/{name}", row.loader), at, *value));
            }
            (Metric::Number(value), None) => {
                logged.curves.push(name_of(&row.loader, metric, is_fine), point(*value));
            }
            (Metric::Json(Value::Array(list)), _) if list.iter().all(|value| number(value).is_some()) => {
                for (i, value) in list.iter().filter_map(number).enumerate().take(CLASSES) {
                    logged.curves.push(name_of(&row.loader, &format!("{metric}/{i}"), is_fine), point(value));
                }
            }
            (Metric::Json(value @ Value::Array(_)), _) => {
                let (matrices, note) = matrix::read(&format!("{}/{metric}", row.loader), value);
                logged.matrices.extend(matrices);
                note.into_iter().for_each(|note| logged.notes.add(note));
            }
            // arrays are only written as such
            (Metric::Json(_) | Metric::Array(_), _) => {}
        }
    }
    logged.matrices.extend(matrix::from_cells(cells));
}
