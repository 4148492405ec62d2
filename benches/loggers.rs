//! What logging costs the training thread: 20 metrics every batch, to JSON lines, CSV and TensorBoard at once.
//!
//! `cargo bench --bench loggers`. A batch is 300 µs of other work, so that the thread that writes is not the one measured.
#[path = "shared/spread.rs"]
mod spread;

use std::hint::black_box;
use std::time::{Duration, Instant};

use catena::chain::drive::{Driver, LoaderScope, PassScope, RunSettings, StageScope};
use catena::chain::{Optimizers, testing};
use catena::prelude::*;
use catena::tch::{Device, Tensor};
use spread::Spread;

const BATCHES: usize = 4000;
const ROUNDS: usize = 7;
const WORK: Duration = Duration::from_micros(300);

#[derive(Clone, Copy)]
enum Values {
    Numbers,
    Tensors,
}

/// A driver in a train loader.
fn driver(dir: &std::path::Path, callbacks: Vec<Box<dyn Callback>>) -> Driver {
    let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: Some(dir.to_owned()) };
    let members = callbacks.into_iter().map(catena::chain::drive::Member::new).collect();
    let mut driver = Driver::new(Box::new(testing::tiny_model()), members, settings).expect("names differ");
    let passes = vec![PassScope { name: "main".into(), optimizer: None }];
    driver.fire(Event::RunStart).expect("the run directory can be written");
    driver.enter_stage(
        StageScope { index: 0, name: "main".into(), epochs: 1, passes, evaluations: Vec::new() },
        Optimizers::default(),
    );
    driver.enter_epoch();
    driver.enter_loader(LoaderScope::new("train", Mode::Train, None));
    driver
}

/// Microseconds of each batch for `cx.log` and `batch_end`, and seconds until all was written.
fn run(loggers: Option<Loggers>, values: Values) -> (Vec<f64>, f64) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let callbacks = loggers.map(|loggers| Box::new(loggers) as Box<dyn Callback>);
    let mut driver = driver(dir.path(), callbacks.into_iter().collect());
    let names: Vec<String> = (0..20).map(|i| format!("metric {i}")).collect();
    let tensors: Vec<Tensor> = (0..20).map(|i| Tensor::from(f64::from(i) / 7.0)).collect();
    let mut times = Vec::with_capacity(BATCHES);
    for batch in 0..BATCHES {
        let until = Instant::now() + WORK;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        driver.enter_batch(Batch::default());
        let begin = Instant::now();
        for (i, name) in names.iter().enumerate() {
            let logged = match values {
                Values::Numbers => driver.context_mut().log(name, (batch * i) as f64 / 7.0, Reduce::Mean),
                Values::Tensors => driver.context_mut().log(name, &tensors[i], Reduce::Mean),
            };
            logged.expect("they are numbers");
        }
        black_box(driver.fire(Event::BatchEnd).expect("loggers don't fail"));
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        driver.end_batch();
    }
    let begin = Instant::now();
    driver.fire(Event::RunEnd).expect("loggers don't fail");
    if let Ok(lines) = std::fs::read_to_string(dir.path().join("metrics.jsonl")) {
        assert_eq!(lines.lines().count(), BATCHES, "every batch is there");
    }
    (times, begin.elapsed().as_secs_f64())
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn main() {
    let all = || {
        Loggers::new()
            .with(JsonLines::new())
            .with(CsvFiles::new())
            .with(TensorBoard::new())
            .batches(Every::Batches(1))
    };
    println!("20 metrics a batch, {BATCHES} batches, {ROUNDS} rounds: µs a batch on the training thread");
    for (name, values) in [("numbers", Values::Numbers), ("tensors", Values::Tensors)] {
        let (mut with, mut without, mut slowest, mut ends) = (Vec::new(), Vec::new(), 0.0f64, Vec::new());
        for _ in 0..ROUNDS {
            without.push(mean(&run(None, values).0));
            let (times, end) = run(Some(all()), values);
            with.push(mean(&times));
            slowest = times.iter().copied().fold(slowest, f64::max);
            ends.push(end * 1e3);
        }
        let [alone, three] = [&without, &with].map(|times| Spread::of(times));
        println!("  {name}, cx.log alone {alone:.2}; with three loggers {three:.2}");
        println!("  {name}, at the end {:.1} ms until all is on the disk", Spread::of(&ends));
        let cost = three.median() - alone.median();
        println!("  {name}: so the loggers cost {cost:.2}; slowest batch {slowest:.0}");
    }
}
