//! What the runner costs: its own dispatch, and a whole step beside two loops written by hand, interleaved.
//!
//! `cargo bench --bench overhead -- --device=cuda` takes the step to the GPU.
#[path = "shared/nothing.rs"]
mod nothing;
mod shared;
#[path = "shared/spread.rs"]
mod spread;

use std::time::Instant;

use catena::prelude::*;
use catena::tch::Device;
use catena::tensor::device;
use nothing::Nothing;
use shared::{Batches, Cost, Network, hand, runner, tch};
use spread::Spread;

/// Hears what an acting callback hears, and does nothing.
fn idle(name: &'static str, phase: Phase, event: Event) -> impl Callback {
    on(event, |_| Ok(Flow::GO)).named(name).in_phase(phase)
}

/// Hears every event, and does nothing.
struct Extra;

impl Callback for Extra {
    fn state(&self) -> State {
        State::none()
    }
}

fn chain(batches: u64, extra: usize) -> Runner {
    let mut stage = Stage::new("nothing")
        .bare()
        .train(Nothing::new(batches))
        .callback(idle("ToDevice", Phase::Input, Event::BatchStart))
        .callback(idle("Forward", Phase::Forward, Event::Forward))
        .callback(idle("Criterion", Phase::Loss, Event::Loss))
        .callback(idle("Backward", Phase::Backward, Event::Backward))
        .callback(idle("Optimize", Phase::Optimize, Event::Step))
        .callback(idle("ZeroGrad", Phase::ZeroGrad, Event::Step));
    for i in 0..extra {
        stage = stage.callback(Extra.named(format!("extra {i}")));
    }
    Runner::builder(catena::chain::testing::tiny_model())
        .stage(stage)
        .build()
        .expect("the description is sound")
}

fn dispatch() {
    const BATCHES: u64 = 200_000;
    println!("dispatch, {BATCHES} batches, median of 9");
    for extra in [0, 5, 20] {
        let allocations = |batches| {
            let mut runner = chain(batches, extra);
            allocation_counter::measure(|| drop(runner.run().expect("the run ends"))).count_total
        };
        let a_batch = (allocations(2000) as f64 - allocations(1000) as f64) / 1000.0;
        let time = || {
            let mut runner = chain(BATCHES, extra);
            let begin = Instant::now();
            runner.run().expect("the run ends");
            begin.elapsed().as_secs_f64() * 1e6 / BATCHES as f64
        };
        let times: Vec<f64> = (0..9).map(|_| time()).collect();
        println!(
            "  {extra:>2} extra callbacks: {:.3} µs a batch, {a_batch} allocations a batch",
            Spread::of(&times)
        );
    }
}

fn steps(network: &Network, device: Device) {
    // a GPU's step takes several times as long as the CPU's, for so small a network
    let rounds = if device.is_cuda() { 7 } else { 15 };
    type Contestant = fn(&Network, &Batches, u64) -> Option<Cost>;
    let contestants: [(&str, Contestant); 4] = [
        ("the runner", runner),
        ("by hand, same parts", hand),
        ("by hand, once more", hand),
        ("by hand, tch alone", tch),
    ];
    let batches = network.batches(device);
    let mut times = vec![Vec::new(); contestants.len()];
    for round in 0..=rounds {
        for turn in 0..contestants.len() {
            let i = (round + turn) % contestants.len();
            let cost = contestants[i].1(network, &batches, 1).expect("all have linear layers");
            if round > 0 {
                times[i].push(cost.us_per_step);
            }
        }
    }
    println!(
        "\n{} on {}: µs a step, median of {rounds} interleaved rounds of {} steps, one thread",
        network.name,
        device::name(device),
        network.steps
    );
    let ratio = |a: usize, b: usize| Spread::of_ratios(&times[a], &times[b]);
    for (i, (name, _)) in contestants.iter().enumerate() {
        println!("  {name:<20} {:.3}  {:.3} of tch's", Spread::of(&times[i]), ratio(i, 3));
    }
    println!("  the runner to the loop {:.3}; the loop to itself {:.3}", ratio(0, 1), ratio(2, 1));
}

fn main() {
    catena::tch::set_num_threads(1);
    let device = std::env::args().find_map(|a| a.strip_prefix("--device=").map(str::to_owned));
    let device = device::parse(device.as_deref().unwrap_or("cpu")).expect("a device");
    if device == Device::Cpu {
        dispatch();
    }
    ["tiny", "mlp"].into_iter().for_each(|name| steps(&Network::named(name), device));
}
