//! The smallest training: a model, a stage, run.
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};

fn main() -> catena::Result<()> {
    catena::tensor::rng::manual_seed(0); // weights and data are the same each time
    let vs = nn::VarStore::new(Device::cuda_if_available());
    let layers = nn::seq()
        .add(nn::linear(vs.root() / "fc1", 8, 64, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::linear(vs.root() / "fc2", 64, 3, Default::default()));

    // the label of a sample is the place of its largest number among the first three
    let x = Tensor::rand([2000, 8], (Kind::Float, Device::Cpu));
    let y = x.narrow(1, 0, 3).argmax(1, false);
    let train = TensorLoader::new(&x.narrow(0, 0, 1600), &y.narrow(0, 0, 1600), 32)?.shuffle(true);
    let valid = TensorLoader::new(&x.narrow(0, 1600, 400), &y.narrow(0, 1600, 400), 100)?;

    let stage = Stage::new("train")
        .epochs(5)
        .train(train)
        .valid(valid)
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2));
    let mut runner = Runner::builder(Net::new(vs, layers))
        .stage(stage)
        .callback(Accuracy::new())
        .callback(Console::new())
        .build()?;
    let report = runner.run()?;
    println!("validation accuracy: {:.3}", report.metrics["valid/accuracy@1"]);
    Ok(())
}
