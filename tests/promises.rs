//! Loaders that break their promises, and stages in which nothing is left to train: told in sentences.
use std::sync::{Mutex, PoisonError};

use catena::chain::testing::{check_loader, tiny_batch, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::data::{Loader, Start};
use catena::tensor::rng::Exclusive;

/// What was logged as a warning.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// What is warned of in between.
fn warnings(run: impl FnOnce()) -> Vec<String> {
    let _there = log::set_logger(&WARNINGS);
    log::set_max_level(log::LevelFilter::Warn);
    WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    run();
    std::mem::take(&mut *WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Ten batches.
struct Naive {
    said: Option<u64>,
    seeks: bool,
    at: u64,
}

impl Loader for Naive {
    fn batches(&self) -> Option<u64> {
        self.said
    }

    fn start(&mut self, start: Start) -> catena::Result<()> {
        self.at = if self.seeks { start.batch } else { 0 };
        Ok(())
    }

    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.at += 1;
        Ok((self.at <= 10).then(|| tiny_batch(4)))
    }
}

fn stage(loader: impl Loader + 'static) -> Stage {
    Stage::new("s").epochs(3).train(loader).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
}

#[test]
fn a_loader_that_gives_another_number_of_batches_than_it_says_is_told_once() {
    let _exclusive = Exclusive::wait();
    let count = |said: Option<u64>| {
        warnings(|| {
            let stage = stage(Naive { said, seeks: true, at: 0 });
            Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap();
        })
    };
    for said in [8, 12] {
        let told = count(Some(said));
        assert_eq!(told.len(), 1, "{told:?}");
        let start =
            format!("loader `train` said that an epoch has {said} batches, and has given 10 in epoch 1");
        assert!(told[0].starts_with(&start), "{told:?}");
    }
    assert_eq!(count(Some(10)), [""; 0]);
    assert_eq!(count(None), [""; 0]);
}

#[test]
fn a_loader_that_does_not_pass_over_what_is_done_is_told_when_a_run_goes_on() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let go_on = |until: u64| {
        let stop = look(Event::BatchEnd, move |cx| {
            if cx.global_batch() == until {
                cx.interrupt("test");
            }
            Ok(())
        });
        let stage = stage(Naive { said: Some(10), seeks: false, at: 0 }).callback(stop);
        let builder =
            Runner::builder(tiny_model()).stage(stage).run_dir(dir.path()).callback(Checkpoint::new());
        builder.build().unwrap().resume(Resume::LatestIfAny).unwrap();
    };
    assert_eq!(warnings(|| go_on(15)), [""; 0]);
    let told = warnings(|| go_on(0));
    assert!(told.iter().any(|told| told.contains("has given 15 in epoch 2")), "{told:?}");
    let error = check_loader(&mut Naive { said: Some(10), seeks: false, at: 0 }).unwrap_err().to_string();
    assert!(error.contains("`start` has to pass over `start.batch` of them"), "{error}");
    check_loader(&mut tiny_loader(22, 4).shuffle(true)).unwrap();
}

#[test]
fn a_stage_that_freezes_everything_says_so() {
    let _exclusive = Exclusive::wait();
    for pattern in ["*", "fc.*"] {
        let stage = stage(tiny_loader(8, 4)).freeze(pattern);
        let error = Runner::builder(tiny_model()).stage(stage).build().unwrap_err().to_string();
        assert!(
            error.contains("it freezes every parameter of pass `main`, so that nothing is left to train"),
            "{error}"
        );
    }
}

#[test]
fn a_stop_that_is_forgotten_is_trained_on_from_the_latest_snapshot_as_from_that_one_by_name() {
    let _exclusive = Exclusive::wait();
    let trained = |latest: bool| {
        let dir = tempfile::tempdir().unwrap();
        let builder = |patience: u64| {
            let stage = Stage::new("s")
                .epochs(50)
                .train(tiny_loader(24, 4))
                .valid(tiny_loader(12, 4))
                .loss(CrossEntropy::new())
                // no epoch is better by so much
                .optimizer(Sgd::new(1e-4))
                .callback(EarlyStopping::new("valid/loss").patience(patience).min_delta(10.0));
            Runner::builder(tiny_model()).stage(stage).run_dir(dir.path()).callback(Checkpoint::new())
        };
        let report = builder(3).build().unwrap().run().unwrap();
        assert!(matches!(report.status, Status::Stopped(_)) && report.epochs < 50, "{report:?}");
        let mut all: Vec<_> = std::fs::read_dir(dir.path().join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with("-e"))
            .collect();
        all.sort();
        let from = if latest { Resume::Latest } else { Resume::Path(all.pop().unwrap()) };
        let mut runner = builder(8).allow("EarlyStopping").allow("stop").build().unwrap();
        let on = runner.resume(from).unwrap();
        (report.epochs, on.epochs)
    };
    let (before, after) = trained(true);
    assert!(after > before, "{before} and then {after}");
    assert_eq!(trained(false), (before, after));
}

#[test]
fn a_panic_of_a_hook_is_an_error_that_says_where_and_prints_only_if_that_is_asked_for() {
    let _exclusive = Exclusive::wait();
    let printed = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = printed.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }));
    for (panic_output, prints) in [(false, 0), (true, 1)] {
        let stage = stage(tiny_loader(8, 4)).callback(on(Event::Step, |_| {
            let numbers: Vec<u8> = Vec::new();
            assert!(!numbers.is_empty(), "a flow");
            Ok(Flow::GO)
        }));
        let builder = Runner::builder(tiny_model()).stage(stage).panic_output(panic_output);
        let error = builder.build().unwrap().run().unwrap_err().to_string();
        assert!(error.contains("panicked at step") && error.contains("a flow"), "{error}");
        assert_eq!(error.contains("tests/promises.rs:"), !panic_output, "{error}");
        assert_eq!(printed.swap(0, std::sync::atomic::Ordering::SeqCst), prints);
    }
    // afterwards panics are the program's again
    let _caught = std::panic::catch_unwind(|| panic!("mine"));
    assert_eq!(printed.load(std::sync::atomic::Ordering::SeqCst), 1);
    std::panic::set_hook(before);
}
