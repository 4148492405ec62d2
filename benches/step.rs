//! One contestant of `benches/peers`: `step catena|hand|tch NETWORK EPOCHS THREADS [DEVICE]` prints what its step costs as JSON.
#[path = "shared/peak.rs"]
mod peak;
mod shared;

use peak::peak_mib;
use shared::{Network, hand, runner, tch};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [framework, network, epochs, threads, device @ ..] = &arguments[..] else {
        eprintln!("usage: step catena|hand|tch NETWORK EPOCHS THREADS [DEVICE]");
        return;
    };
    let device = catena::tensor::device::parse(device.first().map_or("cpu", |name| name)).expect("a device");
    let network = Network::named(network);
    let epochs = epochs.parse().expect("a number of epochs");
    catena::tch::set_num_threads(threads.parse().expect("a number of threads"));
    let contestant = match framework.as_str() {
        "catena" => runner,
        "hand" => hand,
        "tch" => tch,
        other => panic!("{other} is none of catena, hand, tch"),
    };
    let batches = network.batches(device);
    let Some(cost) = contestant(&network, &batches, epochs) else {
        panic!("{framework} has no {}", network.name);
    };
    let told = serde_json::json!({
        "us_per_step": cost.us_per_step,
        "parameters": cost.parameters,
        "peak_mib": peak_mib(),
    });
    println!("{told}");
}
