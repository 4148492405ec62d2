//! Loaders that break their promises, and stages in which nothing is left to train: told in sentences.
#[path = "common/warnings.rs"]
mod warnings;

use catena::chain::testing::{check_loader, tiny_batch, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::data::{Loader, Start};
use catena::tensor::rng::Exclusive;
use catena::tensor::schedule::{AnySchedule, Chained, Step};

use crate::warnings::warnings;

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
fn a_schedule_that_is_made_for_fewer_steps_than_its_stage_makes_is_told_once() {
    let _exclusive = Exclusive::wait();
    let told = |schedule: LrSchedule, epochs: u64| {
        warnings(|| {
            let stage = Stage::new("s")
                .epochs(epochs)
                .train(tiny_loader(24, 4))
                .loss(CrossEntropy::new())
                .optimizer(Sgd::new(0.1).momentum(0.9))
                .callback(schedule);
            Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap();
        })
    };
    // two epochs have 12 steps
    let by_step = |schedule: AnySchedule| LrSchedule::new(schedule);
    for (total, schedule) in [
        (12, AnySchedule::from(OneCycle::new(0.1, 12))),
        (13, CosineAnnealing::new(12).into()),
        (13, Polynomial::new().total_iters(12).into()),
        (13, Linear::new().start_factor(1.0).end_factor(0.5).total_iters(12).into()),
        (13, WarmupStableDecay::new(2, 4, 6).into()),
        (13, Warmup::new(CosineAnnealing::new(10), 2).into()),
        (13, Sequential::new(vec![Linear::new().into(), CosineAnnealing::new(9).into()], [3]).into()),
        (13, Chained::new(vec![Linear::new().into(), CosineAnnealing::new(12).into()]).into()),
    ] {
        assert_eq!(told(by_step(schedule.clone()), 2), [""; 0], "{schedule:?}");
        let after = told(by_step(schedule.clone()), 4);
        assert_eq!(after.len(), 1, "{schedule:?}: {after:?}");
        let start = format!(
            "LrSchedule: the schedule `{}` is made for {total} steps, and stage `s` goes on after them: step {} and later ones",
            schedule.name(),
            total + 1
        );
        assert!(after[0].starts_with(&start), "{after:?}");
    }
    assert_eq!(told(LrSchedule::new(CosineAnnealing::new(3)).by_epoch(), 4), [""; 0]);
    let by_epoch = told(LrSchedule::new(CosineAnnealing::new(3)).by_epoch(), 6);
    assert_eq!(by_epoch.len(), 1);
    assert!(by_epoch[0].contains("is made for 4 epochs") && by_epoch[0].contains("epoch 5"), "{by_epoch:?}");
    for endless in [AnySchedule::from(Linear::new()), Exponential::new(0.9).into(), Step::new(3).into()] {
        assert_eq!(told(by_step(endless), 4), [""; 0]);
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
