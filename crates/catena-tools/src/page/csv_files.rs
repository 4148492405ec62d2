//! `metrics/<loader>.csv`, as curves: for runs that write no JSON lines.
use std::fs::File;
use std::path::Path;

use catena_record::fs::{FileSystem, Os};

use super::logged::{Logged, name_of};
use crate::failure::{Failure, Result};
use crate::model::curve::Point;
use crate::model::plan::Plan;

/// Reads the files that are there.
pub(crate) fn read(run: &Path, plan: &Plan) -> Result<Logged> {
    let (folder, mut logged) = (run.join("metrics"), Logged::default());
    if !folder.is_dir() {
        return Ok(logged);
    }
    let files = Os.list(&folder).map_err(Failure::io("can't read", &folder))?;
    let mut names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    for name in names {
        if let Some(loader) = name.strip_suffix(".csv") {
            let (loader, is_fine) =
                loader.strip_suffix(".batches").map_or((loader, false), |loader| (loader, true));
            let path = folder.join(&name);
            let file = File::open(&path).map_err(Failure::io("can't read", &path))?;
            read_file(file, (loader, is_fine), plan, &mut logged, &name);
        }
    }
    Ok(logged)
}

fn read_file(file: File, (loader, is_fine): (&str, bool), plan: &Plan, logged: &mut Logged, name: &str) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let Ok(heads) = reader.headers().cloned() else {
        logged.notes.damaged_lines(&format!("metrics/{name}"), 1);
        return;
    };
    let (mut damaged, mut is_last_cut) = (0, false);
    for row in reader.records() {
        damaged += u64::from(is_last_cut);
        let row = row.ok().filter(|row| row.len() == heads.len());
        let whole = |head: &str| -> Option<u64> {
            let at = heads.iter().position(|known| known == head)?;
            row.as_ref()?.get(at)?.parse().ok()
        };
        let place = whole("epoch").zip(whole("global_step")).zip(whole("global_batch"));
        // a last row that was cut short may be in the making
        is_last_cut = place.is_none();
        let Some((row, ((epoch, step), batch))) = row.as_ref().zip(place) else { continue };
        let stage = heads.iter().position(|head| head == "stage").and_then(|at| row.get(at));
        logged.saw(plan, stage.unwrap_or_default(), epoch, loader, step, batch);
        let place = ["stage", "epoch", "batch", "global_step", "global_batch"];
        for (metric, cell) in heads.iter().zip(row).filter(|(head, _)| !place.contains(head)) {
            // a metric of a column's name has this before its own
            let metric = metric.strip_prefix("value:").unwrap_or(metric);
            if let Ok(value) = cell.parse() {
                let point = Point { step: step as f64, batch: batch as f64, value };
                logged.curves.push(name_of(loader, metric, is_fine), point);
            }
        }
    }
    logged.notes.damaged_lines(&format!("metrics/{name}"), damaged);
}
