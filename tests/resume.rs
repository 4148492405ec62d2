//! Stopped after any batch and resumed, a run ends in the same bits: parameters, optimizer, averages, metrics, journal and CSV.
mod common;
#[path = "common/resumable.rs"]
mod resumable;
#[path = "common/snapshots.rs"]
mod snapshots;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catena::chain::Every;
use catena::metrics::ConfusionMatrix;
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use resumable::{BATCHES, Ended, builder};
use snapshots::newest_that_verifies;

/// What a test makes of the run before it is built.
type Prepare<'a> = &'a dyn Fn(catena::RunnerBuilder) -> catena::RunnerBuilder;

fn checkpoint() -> Checkpoint {
    Checkpoint::new().every(Every::Batches(2)).every(Every::Epochs(1)).keep_every(5)
}

/// The run, and a confusion matrix of each loader, which the loggers write too.
fn measured(dir: &Path) -> catena::RunnerBuilder {
    builder(dir, checkpoint()).callback(Measure::new(ConfusionMatrix::new(Task::Multiclass(3))))
}

/// Ends the run like a kill between two batches, when this process has done so many.
fn stop_after(batches: u64) -> impl Callback {
    let mut left = batches;
    look(Event::BatchStart, move |cx| {
        if cx.is_train() {
            left = left.checked_sub(1).ok_or("stopped by the test")?;
        }
        Ok(())
    })
}

fn whole(dir: &Path, prepare: Prepare) -> Ended {
    let mut runner = prepare(measured(dir)).build().unwrap();
    let report = runner.run().unwrap();
    assert_eq!((report.batches, report.batches_run, report.resumed_from), (BATCHES, BATCHES, None));
    let rows = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let mut of_loaders = rows.lines().filter(|row| !row.contains("\"loader\":\"\""));
    assert!(of_loaders.all(|row| row.contains("\"confusion_matrix\":[[")), "{rows}");
    Ended::of(&runner, &report, dir)
}

/// Goes on, if need be for so many batches only, and checks that it really goes on from the newest snapshot.
fn go_on(dir: &Path, stop: Option<u64>, prepare: Prepare) -> Option<Ended> {
    let newest = newest_that_verifies(dir);
    let mut builder = prepare(measured(dir));
    if let Some(batches) = stop {
        builder = builder.callback(stop_after(batches));
    }
    let mut runner = builder.build().unwrap();
    match runner.resume(Resume::LatestIfAny) {
        Ok(report) => {
            assert_eq!(report.resumed_from, newest.as_ref().map(|(_, batch)| *batch));
            assert_eq!(report.batches_run, BATCHES - newest.map_or(0, |(_, batch)| batch));
            Some(Ended::of(&runner, &report, dir))
        }
        Err(error) => {
            assert!(error.to_string().contains("stopped by the test"), "{error}");
            None
        }
    }
}

#[test]
fn stopped_after_any_batch_and_resumed_twice_it_ends_in_the_same_bits() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let expected = whole(dir.path(), &|builder| builder);
    for stop in 0..BATCHES {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(go_on(dir.path(), Some(stop), &|builder| builder), None);
        let again = 3.min(BATCHES - stop);
        let ended = match go_on(dir.path(), Some(again), &|builder| builder) {
            Some(ended) => ended,
            None => go_on(dir.path(), None, &|builder| builder).unwrap(),
        };
        assert_eq!(ended.differences(&expected), [""; 0], "stopped after {stop} batches");
    }
}

/// Interrupts the run, as a signal would, at the event of this number; counts them.
fn interrupt_at(number: u64, count: &Arc<AtomicU64>, event: Event) -> impl Callback + use<> {
    let count = count.clone();
    look(event, move |cx| {
        if count.fetch_add(1, Ordering::Relaxed) == number {
            cx.interrupt("by the test");
        }
        Ok(())
    })
}

#[test]
fn interrupted_at_any_event_it_leaves_a_snapshot_and_goes_on_as_if_nothing_had_been() {
    let _exclusive = Exclusive::wait();
    let run = |dir: &Path, at: u64| {
        let count = Arc::default();
        let mut builder = measured(dir);
        for event in Event::ALL {
            builder = builder.callback(interrupt_at(at, &count, event));
        }
        let mut runner = builder.build().unwrap();
        let report = runner.resume(Resume::LatestIfAny).unwrap();
        (Ended::of(&runner, &report, dir), report, count.load(Ordering::Relaxed))
    };
    let dir = tempfile::tempdir().unwrap();
    let (expected, report, events) = run(dir.path(), u64::MAX);
    assert_eq!(report.status, Status::Completed);
    assert!(events > 200, "{events}");
    for at in 0..events {
        let dir = tempfile::tempdir().unwrap();
        let (_, first, _) = run(dir.path(), at);
        // at the last event there is nothing left to interrupt
        let status =
            if at + 1 == events { Status::Completed } else { Status::Interrupted("by the test".into()) };
        assert_eq!(first.status, status, "at event {at}");
        let newest = newest_that_verifies(dir.path()).map(|(_, batch)| batch);
        let (ended, report, _) = run(dir.path(), u64::MAX);
        assert_eq!(report.resumed_from, newest, "at event {at}");
        assert_eq!(first.batches, newest.unwrap_or(0), "at event {at}: nothing is done twice");
        // there is one snapshot more than an uninterrupted run takes
        let differences = ended.differences(&expected).into_iter().filter(|what| what != "kept snapshots");
        assert_eq!(differences.collect::<Vec<_>>(), [""; 0], "at event {at}");
    }
}
