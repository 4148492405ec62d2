//! What watching the machine costs: of the runner alone, and of a whole small step.
//!
//! `cargo bench --bench profiling`, one thread, medians of interleaved rounds.
#[path = "shared/nothing.rs"]
mod nothing;
#[path = "shared/spread.rs"]
mod spread;

use std::time::Instant;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use nothing::Nothing;
use spread::Spread;

/// Ten hooks a batch that do nothing.
fn idle(batches: u64) -> Stage {
    let mut stage = Stage::new("nothing").bare().train(Nothing::new(batches));
    for i in 0..5 {
        for event in [Event::BatchStart, Event::Step] {
            stage = stage.callback(on(event, |_| Ok(Flow::GO)).named(format!("{event} {i}")));
        }
    }
    stage
}

/// A step of the smallest model.
fn step(batches: u64) -> Stage {
    Stage::new("step")
        .train(tiny_loader(i64::try_from(batches).expect("few") * 4, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
}

type Watch = fn(Stage) -> Stage;

const WATCHES: [(&str, Watch); 6] = [
    ("nothing", |stage| stage),
    ("Throughput", |stage| stage.callback(Throughput::new())),
    ("MemoryUse", |stage| stage.callback(MemoryUse::new())),
    ("Timeline", |stage| stage.callback(Timeline::new())),
    ("SyncAudit", |stage| stage.callback(SyncAudit::new())),
    ("DeadActivations", |stage| stage.callback(DeadActivations::new(["output"]))),
];

fn compare(name: &str, batches: u64, watches: &[(&str, Watch)], stage: fn(u64) -> Stage) {
    const ROUNDS: usize = 9;
    let mut times = vec![Vec::new(); watches.len()];
    for _ in 0..ROUNDS {
        for (times, (_, watch)) in times.iter_mut().zip(watches) {
            let builder = Runner::builder(tiny_model()).stage(watch(stage(batches)));
            let mut runner = builder.build().expect("the description is sound");
            let begin = Instant::now();
            runner.run().expect("the run ends");
            times.push(begin.elapsed().as_secs_f64() * 1e6 / batches as f64);
        }
    }
    println!("{name}, {batches} batches, median of {ROUNDS}: µs a batch");
    for (times, (watch, _)) in times.iter().zip(watches) {
        println!("  {watch:<16} {:.3}", Spread::of(times));
    }
}

fn main() {
    catena::tch::set_num_threads(1);
    // there are no activations without a model
    compare("ten idle hooks", 100_000, &WATCHES[..5], idle);
    compare("a small step", 4_000, &WATCHES, step);
}
