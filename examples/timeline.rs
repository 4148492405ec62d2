//! Where a run's time goes: the table of times, and a trace that Perfetto (https://ui.perfetto.dev) opens.
//!
//! `cargo run --example timeline -- [DIR]` writes the run directory, by default a temporary one.
use catena::callbacks::{Summary, Timings};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = match std::env::args().nth(1) {
        Some(dir) => dir.into(),
        None => std::env::temp_dir().join(format!("catena-timeline-{}", std::process::id())),
    };

    // layers with names tell the shapes of their outputs
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = layers::Sequential::new()
        .add("fc1", layers::Linear::new(8, 64))
        .add("relu", layers::Relu)
        .add("fc2", layers::Linear::new(64, 3))
        .build(vs.root())?;

    let x = Tensor::rand([480, 8], (Kind::Float, Device::Cpu));
    let y = x.narrow(1, 0, 3).argmax(1, false);
    let stage = Stage::new("train")
        .epochs(3)
        .train(TensorLoader::new(&x, &y, 32)?.shuffle(true))
        .on_request("valid", TensorLoader::new(&x, &y, 160)?)
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2));
    let mut runner = Runner::builder(Net::new(vs, layers))
        .stage(stage)
        .callback(Accumulate::new(2))
        .callback(Validate::every(Every::Batches(10)))
        .callback(Checkpoint::new())
        .callback(ModelSummary::new())
        .callback(Timeline::new())
        .run_dir(&dir)
        .build()?;
    runner.run()?;

    let told = &runner.driver().context().ext;
    if let (Some(summary), Some(timings)) = (told.get::<Summary>(), told.get::<Timings>()) {
        println!("{summary}\n\n{timings}");
    }
    println!("\nthe trace: {}", dir.join("trace.json").display());
    Ok(())
}
