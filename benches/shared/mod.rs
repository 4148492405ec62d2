//! One training step in three hands: catena's runner, a loop over catena's optimizer, a loop over tch's own Adam.
use std::time::Instant;

use catena::prelude::*;
use catena::tch::nn::{self, ModuleT, OptimizerConfig};
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::data::Start;
use catena::tensor::params::parameters;
use catena::tensor::rng::manual_seed;

/// A network of two layers, and how many ready batches an epoch has.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    inputs: i64,
    hidden: i64,
    batch: i64,
    pub(crate) steps: usize,
}

pub(crate) const WORK: [Work; 2] = [
    Work { name: "tiny", inputs: 64, hidden: 32, batch: 16, steps: 2000 },
    Work { name: "mlp", inputs: 784, hidden: 128, batch: 64, steps: 400 },
];

pub(crate) type Batches = Vec<(Tensor, Tensor)>;

impl Work {
    /// The batches, ready in a device's memory.
    pub(crate) fn batches(&self, device: Device) -> Batches {
        manual_seed(1);
        let batch = || {
            let x = Tensor::rand([self.batch, self.inputs], (Kind::Float, Device::Cpu));
            let y = Tensor::randint(10, [self.batch], (Kind::Int64, Device::Cpu));
            (x.to_device(device), y.to_device(device))
        };
        (0..self.steps).map(|_| batch()).collect()
    }

    /// The network, where the batches are.
    fn model(&self, batches: &Batches) -> (nn::VarStore, nn::SequentialT) {
        manual_seed(0);
        let vs = nn::VarStore::new(batches[0].0.device());
        let root = vs.root();
        let net = nn::seq_t()
            .add(nn::linear(&root / "fc1", self.inputs, self.hidden, Default::default()))
            .add_fn(|x| x.relu())
            .add(nn::linear(&root / "fc2", self.hidden, 10, Default::default()));
        (vs, net)
    }
}

/// Gives batches that are ready in memory.
struct Ready(Batches, usize);

impl Loader for Ready {
    fn batches(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.1 = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        let Some((x, y)) = self.0.get(self.1) else { return Ok(None) };
        self.1 += 1;
        Ok(Some(Batch::new([("input", x.shallow_clone()), ("target", y.shallow_clone())])))
    }
}

/// Microseconds a step with catena's runner, logging the loss.
pub(crate) fn runner(work: Work, batches: &Batches, epochs: u64) -> f64 {
    let (vs, net) = work.model(batches);
    let ready = batches.iter().map(|(x, y)| (x.shallow_clone(), y.shallow_clone())).collect();
    let stage = Stage::new("bench")
        .epochs(epochs)
        .train(Ready(ready, 0))
        .loss(CrossEntropy::new())
        .optimizer(Adam::new(1e-3));
    let mut runner =
        Runner::builder(Net::new(vs, net)).stage(stage).build().expect("the description is sound");
    let begin = now(batches);
    let report = runner.run().expect("the run ends");
    wait(batches);
    begin.elapsed().as_secs_f64() * 1e6 / report.steps as f64
}

/// Microseconds a step with a loop over catena's fused Adam.
pub(crate) fn hand(work: Work, batches: &Batches, epochs: u64) -> f64 {
    let (vs, net) = work.model(batches);
    let mut optimizer = Optimizer::new(Adam::new(1e-3), &parameters(&vs)).expect("the settings are sound");
    timed(batches, epochs, |x, y| {
        cross_entropy(&net.forward_t(x, true), y).backward();
        optimizer.step().expect("gradients fit");
        optimizer.zero_grad().expect("gradients fit");
    })
}

/// Microseconds a step with a loop over tch's Adam.
pub(crate) fn tch(work: Work, batches: &Batches, epochs: u64) -> f64 {
    let (vs, net) = work.model(batches);
    let mut optimizer = nn::Adam::default().build(&vs, 1e-3).expect("the settings are sound");
    timed(batches, epochs, |x, y| {
        optimizer.zero_grad();
        cross_entropy(&net.forward_t(x, true), y).backward();
        optimizer.step();
    })
}

fn cross_entropy(output: &Tensor, y: &Tensor) -> Tensor {
    output.cross_entropy_loss::<Tensor>(y, None, catena::tch::Reduction::Mean, -100, 0.0)
}

fn timed(batches: &Batches, epochs: u64, mut step: impl FnMut(&Tensor, &Tensor)) -> f64 {
    let begin = now(batches);
    for _ in 0..epochs {
        batches.iter().for_each(|(x, y)| step(x, y));
    }
    wait(batches);
    begin.elapsed().as_secs_f64() * 1e6 / (epochs as f64 * batches.len() as f64)
}

/// Until a GPU has done all that it was asked for.
fn wait(batches: &Batches) {
    if let Device::Cuda(index) = batches[0].0.device() {
        catena::tch::Cuda::synchronize(index as i64);
    }
}

fn now(batches: &Batches) -> Instant {
    wait(batches);
    Instant::now()
}
