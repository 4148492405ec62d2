//! Three kinds of networks made of layers: linear layers, a transformer, a residual network; each learns one batch by heart.
//!
//! `cargo run --example networks` makes small ones; `cargo xtask bench --peers` measures larger ones.
mod mlp;
mod resnet;
mod transformer;

use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::data::Start;
use catena::tensor::params::parameters;
use transformer::Transformer;

/// Gives the same batch 20 times an epoch.
struct Same(Tensor, Tensor, u64);

impl Loader for Same {
    fn batches(&self) -> Option<u64> {
        Some(20)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.2 = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.2 += 1;
        let batch = || Batch::new([("input", self.0.shallow_clone()), ("target", self.1.shallow_clone())]);
        Ok((self.2 <= 20).then(batch))
    }
}

fn learn(name: &str, vs: nn::VarStore, net: Layers, x: Tensor, y: Tensor) -> catena::Result<()> {
    let weights: usize = parameters(&vs).iter().map(|parameter| parameter.tensor.numel()).sum();
    let stage = Stage::new("by heart")
        .epochs(3)
        .train(Same(x, y, 0))
        .loss(CrossEntropy::new())
        .optimizer(Adam::new(3e-3));
    let report = Runner::builder(Net::new(vs, net)).stage(stage).build()?.run()?;
    let (loss, best) = (report.metrics["train/loss"], &report.best["train/loss"]);
    println!(
        "{name}: {weights} weights, mean loss {:.2} in the first epoch, {loss:.2} in the last",
        best.max
    );
    Ok(())
}

fn main() -> catena::Result<()> {
    catena::tensor::rng::manual_seed(0); // weights and data are the same each time
    let floats = |size: &[i64]| Tensor::rand(size, (Kind::Float, Device::Cpu));
    let whole = |below, size: &[i64]| Tensor::randint(below, size, (Kind::Int64, Device::Cpu));

    let vs = nn::VarStore::new(Device::Cpu);
    let net = mlp::mlp(&[64, 32, 32, 10]).build(vs.root())?;
    learn("linear layers", vs, net, floats(&[16, 64]), whole(10, &[16]))?;

    let vs = nn::VarStore::new(Device::Cpu);
    let size = Transformer { vocabulary: 20, length: 16, width: 32, heads: 4, layers: 2 };
    let net = transformer::transformer(vs.root(), size)?;
    learn("transformer", vs, net, whole(20, &[4, 16]), whole(20, &[4 * 16]))?;

    let vs = nn::VarStore::new(Device::Cpu);
    let net = resnet::resnet(&[3, 8, 16], 10).build(vs.root())?;
    learn("residual network", vs, net, floats(&[16, 3, 16, 16]), whole(10, &[16]))
}
