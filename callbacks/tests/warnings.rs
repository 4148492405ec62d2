//! One warning a loader names the metric that has met a NaN.
use std::sync::Mutex;

use catena_callbacks::Accuracy;
use catena_callbacks::metrics::{ClassScore, Measure, Ranking, Task};
use catena_chain::drive::{Driver, LoaderScope};
use catena_chain::tensor::batch::Batch;
use catena_chain::tensor::model::Mode;
use catena_chain::tensor::tch::Tensor;
use catena_chain::{Event, testing};

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keeps;

impl log::Log for Keeps {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        if record.level() == log::Level::Warn {
            SAID.lock().unwrap().push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

fn run(driver: &mut Driver, name: &str, batches: &[[f64; 4]]) -> Vec<String> {
    driver.enter_loader(LoaderScope::new(name, Mode::Eval, None));
    driver.fire(Event::LoaderStart).unwrap();
    for scores in batches {
        let scores = Tensor::from_slice(scores).view([2, 2]);
        driver.enter_batch(Batch::new([("target", Tensor::from_slice(&[0i64, 1]))]));
        driver.enter_pass(0).unwrap();
        driver.context_mut().outputs.insert("output", scores);
        driver.fire(Event::Loss).unwrap();
    }
    driver.fire(Event::LoaderEnd).unwrap();
    driver.leave_loader().unwrap();
    std::mem::take(&mut *SAID.lock().unwrap())
}

#[test]
fn each_metric_warns_once_a_loader_and_only_if_there_is_a_nan() {
    log::set_boxed_logger(Box::new(Keeps)).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let task = Task::Multiclass(2);
    let mut driver = testing::driver(vec![
        Box::new(Measure::new(Ranking::auroc(task)).log_as("area")),
        Box::new(Measure::new(ClassScore::f1_score(task))),
        Box::new(Accuracy::new().top_k([1, 2])),
    ])
    .unwrap();
    let (fine, bad) = ([0.9, 0.1, 0.3, 0.7], [0.9, f64::NAN, f64::NAN, f64::NAN]);
    assert_eq!(run(&mut driver, "valid", &[fine, fine]), [""; 0]);
    let why = "of loader `valid` in epoch 1: 3 of 6 rows have a NaN among what is measured, so what depends on them is NaN";
    let expected = ["`area`", "`f1_score`", "`accuracy@1`, `accuracy@2`"].map(|name| format!("{name} {why}"));
    assert_eq!(run(&mut driver, "valid", &[bad, fine, [0.5, 0.5, 0.2, f64::NAN]]), expected);
    for name in ["valid/area", "valid/f1_score", "valid/accuracy@1", "valid/accuracy@2"] {
        assert!(driver.context().metrics.get(name).unwrap().is_nan(), "{name}");
    }
    assert_eq!(run(&mut driver, "valid", &[fine]), [""; 0]);
}
