//! What is known of a run, for programs.
use serde_json::{Map, Value, json};

use super::warnings;
use super::watched_run::{Standing, WatchedRun};
use crate::report;

/// What is known now.
pub(crate) fn of(state: &WatchedRun, now: f64) -> Value {
    let place = state.place();
    let metrics: Map<String, Value> = state
        .curves()
        .iter()
        .flat_map(|curve| {
            let steps = curve.steps.map(|series| (curve.name.to_owned(), series.last));
            let lines = curve.lines.iter().filter(|line| !line.by_batch);
            let lines = lines.map(|line| (format!("{}/{}", line.loader, curve.name), line.series.last));
            steps.into_iter().chain(lines)
        })
        .map(|(name, last)| (name, last.map_or(Value::Null, report::float)))
        .collect();
    let checkpoint = state.kept.newest().map(|(name, checkpoint)| {
        let age = checkpoint.time.map(|time| now - time);
        json!({ "name": name.to_string(), "age": age, "size": checkpoint.bytes })
    });
    let best = state.kept.best(state.plan.best());
    let best = best.map(|(name, metric, value)| {
        json!({ "name": name.to_string(), "metric": metric, "value": report::float(value) })
    });
    let warnings: Vec<String> = warnings::of(state, now).into_iter().map(|warning| warning.text).collect();
    json!({
        "run": state.name,
        "status": state.plan.file.status,
        "stopped_by": state.plan.file.stopped_by,
        "gone": state.standing(now) == Standing::Gone,
        "stage": state.position().map(|position| &position.stage),
        "epoch": state.position().map(|position| position.epoch),
        "epochs": place.epochs,
        "global_batch": state.position().map(|position| position.batch),
        "global_step": state.position().map(|position| position.step),
        "done": place.share,
        "elapsed": state.elapsed(now),
        "left": state.left(now),
        "batches_per_second": state.pace(),
        "samples_per_second": state.timing.throughput.as_ref().and_then(|t| t.samples),
        "metrics": metrics,
        "checkpoints": state.kept.count,
        "last_checkpoint": checkpoint,
        "best_checkpoint": best,
        "warnings": warnings,
    })
}
