use serde_json::json;

use super::super::warnings;
use super::*;

const NOW: f64 = 1_000_000.0;

fn state(status: &str) -> WatchedRun {
    let loaders = json!([
        { "name": "train", "mode": "train", "batches": 10 },
        { "name": "valid", "mode": "eval", "batches": 3 },
    ]);
    let run = json!({ "stages": [{ "name": "s", "epochs": 5, "loaders": loaders }] });
    let plan = json!({ "status": status, "started": "1970-01-12T13:45:40.000Z", "run": run });
    WatchedRun { plan: serde_json::from_value(plan).unwrap(), changed: Some(NOW), ..WatchedRun::default() }
}

fn step(state: &mut WatchedRun, batch: u64, loss: f64) {
    let loss = format!("{:016x}", loss.to_bits());
    let (epoch, ids) = (batch.div_ceil(10), "00");
    let row = json!({ "stage": "s", "epoch": epoch, "global_batch": batch, "global_step": batch, "ids": ids, "lr": 0.1, "loss": loss });
    state.journal.line(row.to_string().as_bytes());
}

fn measured(state: &mut WatchedRun, batch: u64, loader: &str, metrics: serde_json::Value) {
    let row = json!({ "stage": "s", "epoch": batch / 10, "loader": loader, "global_step": batch, "global_batch": batch, "metrics": metrics });
    state.metrics.line(row.to_string().as_bytes());
}

fn texts(state: &WatchedRun, now: f64) -> Vec<String> {
    warnings::of(state, now).into_iter().map(|warning| warning.text).collect()
}

#[test]
fn the_curves_are_the_loss_then_metrics_then_what_only_the_journal_knows() {
    let mut state = state("running");
    step(&mut state, 10, 0.5);
    measured(&mut state, 10, "train", json!({ "auc": 0.5, "loss": 0.6, "lr": 0.1 }));
    measured(&mut state, 10, "valid", json!({ "auc": 0.4, "loss": "nan" }));
    let curves = state.curves();
    let names: Vec<_> =
        curves.iter().map(|curve| (curve.name, curve.steps.is_some(), curve.lines.len())).collect();
    assert_eq!(names, [("loss", true, 2), ("auc", false, 2), ("lr", true, 1)]);
    assert_eq!(state.loaders(), ["train", "valid"]);
}

#[test]
fn what_is_left_follows_from_the_pace_of_the_checkpoints() {
    let mut state = state("running");
    for batch in 1..=30 {
        step(&mut state, batch, 1.0);
    }
    assert_eq!(state.pace(), Some(30.0 / 60.0), "since the start, a minute ago");
    for (time, batch) in [("13:46:00", 10), ("13:46:05", 20), ("13:46:10", 30)] {
        let row = json!({ "time": format!("1970-01-12T{time}Z"), "snapshot": format!("{batch:012}-e"), "stall": 0.1, "share": 0.01 });
        state.timing.line(row.to_string().as_bytes());
    }
    assert_eq!(state.pace(), Some(2.0));
    assert_eq!(state.left(NOW), Some(10.0));
    assert_eq!(state.place().share, Some(0.6));
    let throughput =
        json!({ "time": "1970-01-12T13:46:11Z", "throughput": { "samples": 64.0, "batches": 2.0 } });
    state.timing.line(throughput.to_string().as_bytes());
    assert_eq!(state.timing.throughput.as_ref().unwrap().samples, Some(64.0));
}

#[test]
fn lines_that_are_no_rows_are_counted_and_left_out() {
    let mut state = state("running");
    step(&mut state, 1, 1.0);
    for line in ["{\"stage\":\"s\",", "\n", "[]", "\u{0}\u{0}", "{\"stage\":\"s\",\"epoch\":-1}"] {
        state.journal.line(line.as_bytes());
    }
    step(&mut state, 2, 1.0);
    assert_eq!(state.position().unwrap().batch, 2);
    assert_eq!((state.journal.bad.lines, state.journal.bad.first), (4, 2));
    assert_eq!(texts(&state, NOW), ["4 lines of journal.jsonl can't be read, the first is line 2"]);
}

#[test]
fn a_loss_that_is_no_number_is_told_with_its_step() {
    let mut state = state("running");
    for (batch, loss) in [(1, 1.0), (2, f64::INFINITY), (3, f64::NAN)] {
        step(&mut state, batch, loss);
    }
    measured(&mut state, 3, "valid", json!({ "auc": "nan" }));
    let told = texts(&state, NOW);
    assert_eq!(told, ["loss was inf at step 2, and 1 more since", "valid/auc was NaN at step 3"]);
}

#[test]
fn a_run_is_gone_when_it_is_silent_and_nobody_holds_its_lock() {
    let mut state = state("running");
    step(&mut state, 1, 1.0);
    for (holder, silent, standing) in [
        (Holder::Nobody, 1.0, Standing::Running),
        (Holder::Nobody, 100.0, Standing::Gone),
        (Holder::Process(None), 100.0, Standing::Running),
        (Holder::Unknown, 100.0, Standing::Running),
    ] {
        state.holder = holder;
        assert_eq!(state.standing(NOW + silent), standing, "{holder:?} {silent}");
    }
    state.holder = Holder::Nobody;
    let told = texts(&state, NOW + 100.0);
    assert_eq!(told, ["process gone or on another host, silent for 1 min 40 s"]);
    state.plan = serde_json::from_value(json!({ "status": "completed" })).unwrap();
    assert_eq!(state.standing(NOW + 100.0), Standing::Ended);
    assert_eq!(texts(&state, NOW + 100.0), Vec::<String>::new());
}

#[test]
fn no_progress_is_told_once_the_journal_is_overdue() {
    let mut state = state("running");
    state.holder = Holder::Process(Some(1));
    for batch in 1..=30 {
        step(&mut state, batch, 1.0);
    }
    // half a step a second, so the journal writes every 512 seconds
    assert!(!state.is_stuck(NOW + 1000.0));
    state.seen.push(0.0, 0);
    state.seen.push(1.0, 100);
    assert!(!state.is_stuck(NOW + 100.0));
    assert_eq!(texts(&state, NOW + 125.0), ["no progress for 2 min 05 s"]);
}

#[test]
fn ever_new_names_do_not_take_ever_more_memory() {
    let mut state = state("running");
    for i in 0..10_000 {
        measured(&mut state, 10, "train", json!({ format!("m{i}"): 1.0 }));
    }
    assert_eq!(state.curves().len(), MOST_CURVES);
}

#[test]
fn lines_are_read_as_catena_writes_them() {
    let step: JournalRow = serde_json::from_str(
        r#"{"stage":"s","epoch":1,"global_batch":2,"global_step":2,"ids":"00","lr":0.5,"loss":"3ff8000000000000","grad_norm":"nan"}"#,
    )
    .unwrap();
    assert_eq!((step.loss, step.lr), (Some(1.5), Some(0.5)));
    assert!(step.grad_norm.unwrap().is_nan());
    let mut metrics = Metrics::default();
    metrics.line(
        br#"{"stage":"s","epoch":1,"loader":"valid","global_step":2,"global_batch":2,"metrics":{"loss":"inf","auc":0.5,"n":null}}"#,
    );
    let last: Vec<_> =
        metrics.named.iter().map(|(name, lines)| (name.as_str(), lines[0].series.last)).collect();
    assert_eq!(last, [("loss", Some(f64::INFINITY)), ("auc", Some(0.5))]);
    let mut timing = Timing::default();
    let line = r#"{"time":"1970-01-01T00:01:00.500Z","throughput":{"samples":10.0}}"#;
    timing.line(line.as_bytes());
    assert_eq!(serde_json::from_str::<TimingRow>(line).ok().and_then(|row| seconds(&row.time)), Some(60.5));
    assert_eq!(timing.throughput.unwrap().samples, Some(10.0));
}
