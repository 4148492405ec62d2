//! One contestant of `benches/peers`: `step catena|hand|tch tiny|mlp EPOCHS THREADS [DEVICE]` prints `{"us_per_step": …}` as JSON.
mod shared;

use shared::{WORK, hand, runner, tch};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [framework, model, epochs, threads, device @ ..] = &arguments[..] else {
        eprintln!("usage: step catena|hand|tch tiny|mlp EPOCHS THREADS [DEVICE]");
        return;
    };
    let device = catena::tensor::device::parse(device.first().map_or("cpu", |name| name)).expect("a device");
    let work = WORK.into_iter().find(|work| work.name == model).expect("tiny or mlp");
    let epochs = epochs.parse().expect("a number of epochs");
    catena::tch::set_num_threads(threads.parse().expect("a number of threads"));
    let step = match framework.as_str() {
        "catena" => runner,
        "hand" => hand,
        "tch" => tch,
        other => panic!("{other} is none of catena, hand, tch"),
    };
    let batches = work.batches(device);
    step(work, &batches, 1);
    let us_per_step = step(work, &batches, epochs);
    println!("{}", serde_json::json!({ "framework": framework, "model": model, "us_per_step": us_per_step }));
}
