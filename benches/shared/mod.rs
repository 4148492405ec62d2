//! One training step in three hands: catena's runner, a loop over the same parts, a loop over tch's modules and tch's own Adam.
#[path = "../../examples/networks/mlp.rs"]
mod mlp;
mod networks;
#[path = "../../examples/networks/resnet.rs"]
mod resnet;
#[path = "../../examples/networks/transformer.rs"]
mod transformer;

use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use catena::prelude::*;
use catena::tch::nn::{ModuleT, OptimizerConfig, VarStore};
use catena::tch::{Cuda, Device, Tensor};
use catena::tensor::data::Start;
use catena::tensor::params::parameters;

pub(crate) use networks::{Batches, Network};

/// What a contestant's step costs. The first epoch is not counted: it makes the optimizer's state, and fills caches.
pub(crate) struct Cost {
    pub(crate) us_per_step: f64,
    /// How many numbers are trained, so that contestants can be seen to train the same.
    #[allow(dead_code, reason = "not every bench compares them")]
    pub(crate) parameters: usize,
}

/// Gives batches that are ready in memory, and tells when each pass over them starts.
struct Ready {
    batches: Batches,
    next: usize,
    starts: Sender<Instant>,
}

impl Loader for Ready {
    fn batches(&self) -> Option<u64> {
        Some(self.batches.len() as u64)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.next = 0;
        self.starts.send(now(&self.batches)).expect("the bench waits for it");
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        let Some((x, y)) = self.batches.get(self.next) else { return Ok(None) };
        self.next += 1;
        Ok(Some(batch(x, y)))
    }
}

fn batch(x: &Tensor, y: &Tensor) -> Batch {
    Batch::new([("input", x.shallow_clone()), ("target", y.shallow_clone())])
}

/// catena's runner, logging the loss.
pub(crate) fn runner(network: &Network, batches: &Batches, epochs: u64) -> Option<Cost> {
    let (vs, net) = network.layers(batches);
    let parameters = count(&vs);
    let (starts, told) = channel();
    let copy = batches.iter().map(|(x, y)| (x.shallow_clone(), y.shallow_clone())).collect();
    let stage = Stage::new("bench")
        .epochs(1 + epochs)
        .train(Ready { batches: copy, next: 0, starts })
        .loss(CrossEntropy::new())
        .optimizer(Adam::new(1e-3));
    let mut runner =
        Runner::builder(Net::new(vs, net)).stage(stage).build().expect("the description is sound");
    runner.run().expect("the run ends");
    let end = now(batches);
    let begin = told.try_iter().nth(1).expect("the second epoch started");
    Some(Cost { us_per_step: us_per_step(begin, end, batches, epochs), parameters })
}

/// A loop written by hand over the same parts.
pub(crate) fn hand(network: &Network, batches: &Batches, epochs: u64) -> Option<Cost> {
    let (vs, net) = network.layers(batches);
    let mut optimizer = Optimizer::new(Adam::new(1e-3), &parameters(&vs)).expect("the settings are sound");
    let mut criterion = CrossEntropy::new();
    let step = |x: &Tensor, y: &Tensor| {
        let output = net.forward(x, Mode::Train).expect("the input fits");
        let loss = criterion.loss(&Outputs::from([("output", output)]), &batch(x, y));
        loss.expect("the target fits").value.backward();
        optimizer.step().expect("gradients fit");
        optimizer.zero_grad().expect("gradients fit");
    };
    Some(Cost { us_per_step: timed(batches, epochs, step), parameters: count(&vs) })
}

/// A loop written by hand over tch alone; none for networks that are not made of linear layers.
pub(crate) fn tch(network: &Network, batches: &Batches, epochs: u64) -> Option<Cost> {
    let (vs, net) = network.of_tch(batches)?;
    let mut optimizer = catena::tch::nn::Adam::default().build(&vs, 1e-3).expect("the settings are sound");
    let step = |x: &Tensor, y: &Tensor| {
        optimizer.zero_grad();
        net.forward_t(x, true).cross_entropy_for_logits(y).backward();
        optimizer.step();
    };
    Some(Cost { us_per_step: timed(batches, epochs, step), parameters: count(&vs) })
}

fn count(vs: &VarStore) -> usize {
    parameters(vs).iter().map(|parameter| parameter.tensor.numel()).sum()
}

fn timed(batches: &Batches, epochs: u64, mut step: impl FnMut(&Tensor, &Tensor)) -> f64 {
    let mut epoch = || batches.iter().for_each(|(x, y)| step(x, y));
    epoch();
    let begin = now(batches);
    (0..epochs).for_each(|_| epoch());
    us_per_step(begin, now(batches), batches, epochs)
}

fn us_per_step(begin: Instant, end: Instant, batches: &Batches, epochs: u64) -> f64 {
    (end - begin).as_secs_f64() * 1e6 / (epochs as f64 * batches.len() as f64)
}

/// The time, when a GPU has done all that it was asked for.
fn now(batches: &Batches) -> Instant {
    if let Device::Cuda(index) = batches[0].0.device() {
        Cuda::synchronize(index as i64);
    }
    Instant::now()
}
