//! Shows that a project with catena as its only dependency builds, links and trains.
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};

fn main() -> catena::Result<()> {
    let x = (Tensor::arange(400, (Kind::Float, Device::Cpu)) * 0.37).sin().view([100, 4]);
    let loader = TensorLoader::new(&x, &x.argmax(1, false), 10)?.shuffle(true);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = nn::linear(vs.root() / "fc", 4, 4, Default::default());
    let stage = Stage::new("train").epochs(5).train(loader).loss(CrossEntropy::new()).optimizer(AdamW::new(0.05));
    let report = Runner::builder(Net::new(vs, net)).stage(stage).build()?.run()?;
    assert_eq!(report.steps, 50);
    assert!(report.metrics["train/loss"] < 1.0);
    println!("ok");
    Ok(())
}
