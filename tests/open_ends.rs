//! A snapshot that holds a stop goes on to the same end events, steps, metrics and logs as the run that was not killed.
use std::path::Path;

use catena::chain::testing::{Recorder, Recording, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

const STOPS: [Flow; 4] = [Flow::STOP_LOADER, Flow::STOP_EPOCH, Flow::STOP_STAGE, Flow::STOP_RUN];

struct Case {
    stop: Flow,
    event: Event,
    at: u64,
    phase: Phase,
}

fn runner(dir: &Path, case: &Case) -> (Runner, Recording) {
    let (recorder, record) = Recorder::new();
    let Case { stop, event, at, phase } = *case;
    let ask = on(event, move |cx| Ok(if cx.is_train() && cx.global_batch() == at { stop } else { Flow::GO }));
    let stage = |name: &str| {
        Stage::new(name)
            .epochs(2)
            .train(tiny_loader(20, 4))
            .valid(tiny_loader(4, 4))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.5))
    };
    let runner = Runner::builder(tiny_model())
        .stage(stage("a"))
        .stage(stage("b"))
        .callback(ask.in_phase(phase).named("ask"))
        .callback(Accumulate::new(4))
        .callback(recorder)
        .callback(Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1))
        .run_dir(dir);
    (runner.build().unwrap(), record)
}

/// What is left of a run: weights, metrics, steps, and the lines that it logged.
fn left(runner: &Runner, report: &Report, dir: &Path) -> (String, String, u64, Vec<String>) {
    let weights = sha256(&state_dict(runner.model().var_store())).unwrap();
    let logs = ["metrics/train.csv", "metrics/valid.csv", "journal.jsonl"].map(|file| {
        let text = std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        // the journal says when
        text.lines()
            .map(|line| line.split("\"time\"").next().unwrap_or(line).to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    });
    (weights, format!("{:?} {:?}", report.metrics, report.status), report.steps, logs.into())
}

#[test]
fn a_snapshot_that_holds_a_stop_is_gone_on_from_to_the_same_end() {
    let _exclusive = Exclusive::wait();
    let mut tried = 0;
    for stop in STOPS {
        for (event, phase) in [
            (Event::BatchStart, Phase::User),
            (Event::Loss, Phase::Measure),
            (Event::BatchEnd, Phase::Decide),
            (Event::BatchEnd, Phase::Report),
        ] {
            for at in [2, 5, 7] {
                let case = Case { stop, event, at, phase };
                let dir = tempfile::tempdir().unwrap();
                let (mut whole, record) = runner(dir.path(), &case);
                let report = whole.run().unwrap();
                let expected = left(&whole, &report, dir.path());
                let events = record.events();
                drop(whole);
                let mut snapshots: Vec<_> = std::fs::read_dir(dir.path().join("checkpoints"))
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .filter(|name| name.starts_with(&format!("{at:012}")))
                    .collect();
                snapshots.sort();
                assert!(!snapshots.is_empty());
                for snapshot in snapshots.into_iter().rev() {
                    let (mut resumed, record) = runner(dir.path(), &case);
                    let from = dir.path().join("checkpoints").join(&snapshot);
                    let report = resumed.resume(Resume::Path(from)).unwrap();
                    let what =
                        format!("{stop:?} asked at {event} of batch {at} in {phase:?}, from {snapshot}");
                    assert_eq!(left(&resumed, &report, dir.path()), expected, "{what}");
                    // after the start events that fire again, the same follow
                    let own = record.events();
                    let ends = |events: &[String]| -> Vec<String> {
                        events.iter().filter(|event| event.ends_with("_end")).cloned().collect()
                    };
                    assert!(ends(&events).ends_with(&ends(&own)), "{what}: {own:?}");
                    // of a run that has ended nothing ends any more
                    let last = if snapshot.ends_with("-z") { "run_start" } else { "run_end" };
                    assert_eq!(own.last().map(String::as_str), Some(last), "{what}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 48, "{tried}");
}
