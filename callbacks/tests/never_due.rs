//! What a stage is too short for is told in the log: a test to each callback, all in one process with one logger.
use std::sync::{Mutex, PoisonError};

use catena_callbacks::{Accumulate, Checkpoint, LrFinder, Swa, Tail, Validate};
use catena_chain::drive::{Driver, LoaderScope, Member, PassScope, RunSettings, StageScope};
use catena_chain::{Callback, CallbackExt, Event, Every, Optimizers, testing};
use catena_tensor::loss::Loss;
use catena_tensor::model::{Mode, Model};
use catena_tensor::optim::{Optimizer, Sgd};
use catena_tensor::params::parameters;
use catena_tensor::tch::{Device, Tensor};

struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }
    fn flush(&self) {}
}

/// What was told of a stage of this name.
fn told(stage: &str) -> Vec<String> {
    let warnings = WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner);
    warnings.iter().filter(|text| text.contains(stage)).cloned().collect()
}

/// A driver whose only callback is this one, at the start of a stage.
fn driver(callback: impl Callback + 'static, stage: &str, epochs: u64) -> Driver {
    let _set_before = log::set_logger(&WARNINGS);
    log::set_max_level(log::LevelFilter::Warn);
    let model = Box::new(testing::tiny_model());
    let optimizer = Optimizer::new(Sgd::new(0.1), &parameters(model.var_store())).unwrap();
    let dir = std::env::temp_dir();
    let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: Some(dir) };
    let mut driver = Driver::new(model, vec![Member::new(Box::new(callback))], settings).unwrap();
    driver.fire(Event::RunStart).unwrap();
    let passes = vec![PassScope { name: "main".into(), optimizer: Some("main".into()) }];
    let mut optimizers = Optimizers::default();
    optimizers.insert("main", optimizer);
    let scope = StageScope { index: 0, name: stage.into(), epochs, passes, evaluations: Vec::new() };
    driver.enter_stage(scope, optimizers);
    driver.fire(Event::StageStart).unwrap();
    driver
}

/// An epoch with a Train loader of so many batches; each has a step, which the test makes if there is no optimizer in the chain.
fn epoch(driver: &mut Driver, batches: u64) {
    batches_of_an_epoch(driver, batches, true);
}

fn batches_of_an_epoch(driver: &mut Driver, batches: u64, makes_steps: bool) {
    driver.enter_epoch();
    driver.enter_loader(LoaderScope::new("train", Mode::Train, Some(batches)));
    driver.fire(Event::LoaderStart).unwrap();
    for _ in 0..batches {
        driver.enter_batch(testing::tiny_batch(4));
        driver.enter_pass(0).unwrap();
        driver.context_mut().loss = Some(Loss::new(Tensor::from(1.0), 4.0));
        if makes_steps {
            driver.context_mut().mark_stepped();
        }
        driver.fire(Event::Step).unwrap();
        driver.close_window();
        driver.end_batch();
    }
    driver.fire(Event::LoaderEnd).unwrap();
    driver.leave_loader().unwrap();
}

#[test]
fn an_average_that_begins_after_the_stage_is_told_at_once() {
    let mut long = driver(Swa::new(75), "swa-late", 2);
    let text = "Swa averages nothing in stage `swa-late`: it begins with epoch 75, but the stage has 2; give it an earlier `start_epoch`";
    assert_eq!(told("swa-late"), [text]);
    long.fire(Event::StageEnd).unwrap();
    assert_eq!(told("swa-late").len(), 1, "once is enough");
    drop(driver(Swa::new(2), "swa-last", 2));
    assert_eq!(told("swa-last"), [""; 0]);
}

#[test]
fn an_average_that_takes_in_nothing_is_told_at_the_stages_end() {
    let mut never = driver(Swa::new(2).every_steps(100), "swa-rare", 2);
    (0..2).for_each(|_| epoch(&mut never, 3));
    never.fire(Event::StageEnd).unwrap();
    let told_of_it = told("swa-rare");
    assert_eq!(told_of_it.len(), 1, "{told_of_it:?}");
    assert!(told_of_it[0].contains("3 steps after the average was to begin"), "{told_of_it:?}");
    let mut some = driver(Swa::new(2).every_steps(3), "swa-good", 2);
    (0..2).for_each(|_| epoch(&mut some, 3));
    some.fire(Event::StageEnd).unwrap();
    assert_eq!(told("swa-good"), [""; 0]);
}

#[test]
fn epochs_that_do_not_come_in_a_stage_are_told() {
    drop(driver(Validate::every(Every::Epochs(5)), "validate-never", 3));
    let text = "Validate on `valid` every 5 epochs is never due in stage `validate-never`, which has epochs 1 to 3 of the run";
    assert_eq!(told("validate-never"), [text]);
    drop(driver(Checkpoint::new().every(Every::Epochs(4)), "checkpoint-never", 3));
    assert_eq!(told("checkpoint-never").len(), 1);
    drop(driver(Validate::every(Every::Epochs(3)), "due-last", 3));
    drop(driver(Validate::every(Every::Batches(1000)), "due-unknown", 3));
    let both = Checkpoint::new().every(Every::Epochs(4)).every(Every::Batches(10));
    drop(driver(both, "due-by-batches", 3));
    drop(driver(Checkpoint::new(), "due-by-default", 1));
    assert_eq!(told("due-"), [""; 0]);
}

#[test]
fn a_window_that_is_never_full_and_dropped_is_told() {
    let mut dropped = driver(Accumulate::new(8).tail(Tail::Drop).named("A"), "main", 2);
    (0..2).for_each(|_| batches_of_an_epoch(&mut dropped, 3, false));
    let all = told("Accumulate");
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("it waits for 8 micro-batches, but loader `train` has 3 batches"), "{all:?}");
    let mut full_batch = driver(Accumulate::new(8), "main", 2);
    batches_of_an_epoch(&mut full_batch, 3, false);
    assert_eq!(told("Accumulate").len(), 1, "one step an epoch is what was asked for");
}

#[test]
fn a_sweep_that_is_not_done_is_told() {
    let mut short = driver(LrFinder::new().num_steps(10), "sweep-short", 1);
    epoch(&mut short, 4);
    short.fire(Event::StageEnd).unwrap();
    let all = told("sweep-short");
    assert!(all.len() == 1 && all[0].contains("ended after 4 of 10 steps"), "{all:?}");
    let mut whole = driver(LrFinder::new().num_steps(4), "sweep-whole", 1);
    epoch(&mut whole, 4);
    whole.fire(Event::StageEnd).unwrap();
    assert_eq!(told("sweep-whole"), [""; 0]);
}
