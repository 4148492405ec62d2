//! The training of a plain chain, written out with tch and the optimizers alone.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Kind, Reduction, Tensor};
use catena::tensor::data::{Loader, Start};
use catena::tensor::hash::sha256;
use catena::tensor::optim::Optimizer;
use catena::tensor::params::{parameters, state_dict};
use catena::tensor::schedule::AnySchedule;

/// What a stage of a plain chain does.
pub(crate) struct Plain {
    pub(crate) rows: i64,
    pub(crate) batch: u64,
    pub(crate) shuffle: bool,
    pub(crate) epochs: u64,
    pub(crate) passes: Vec<PlainPass>,
    /// And whether its counter is the epoch.
    pub(crate) schedule: Option<(AnySchedule, bool)>,
    pub(crate) window: u64,
    pub(crate) clip: Option<f64>,
    pub(crate) penalty: bool,
}

pub(crate) struct PlainPass {
    pub(crate) params: &'static str,
    pub(crate) label_smoothing: f64,
    pub(crate) optimizer: OptimizerConfig,
}

/// A pass with what it has gathered.
struct Trained {
    label_smoothing: f64,
    optimizer: Optimizer,
    weights: Vec<Tensor>,
    gradients: Vec<Tensor>,
}

impl Trained {
    fn new(pass: PlainPass, vs: &catena::tch::nn::VarStore) -> Self {
        let mut all = parameters(vs);
        all.retain(|own| pass.params == "*" || own.name == pass.params);
        let weights = all.iter().map(|own| own.tensor.shallow_clone()).collect();
        let optimizer = Optimizer::new(pass.optimizer, &all).unwrap();
        Self { label_smoothing: pass.label_smoothing, optimizer, weights, gradients: Vec::new() }
    }

    fn set_lr(&mut self, schedule: &AnySchedule, counter: u64) {
        for group in self.optimizer.groups_mut() {
            group.set("lr", schedule.lr(group.initial_lr(), counter)).unwrap();
            if let Some(momentum) = schedule.momentum(counter) {
                let name = if group.get("momentum").is_some() { "momentum" } else { "beta1" };
                group.set(name, momentum).unwrap();
            }
        }
    }

    fn add_gradients(&mut self, loss: &Tensor, ratio: f64) {
        let loss = if ratio == 1.0 { loss.shallow_clone() } else { loss * ratio };
        let new = Tensor::run_backward(&[loss], &self.weights, false, false);
        self.gradients = match self.gradients.is_empty() {
            true => new,
            false => self.gradients.iter().zip(new).map(|(sum, new)| sum + new).collect(),
        };
    }

    fn step(&mut self, ratios: f64, clip: Option<f64>) {
        for (weight, gradient) in self.weights.iter().zip(self.gradients.drain(..)) {
            let gradient = if ratios == 1.0 { gradient } else { gradient / ratios };
            // the gradient of this product is the other factor, to the bit
            (weight * gradient).sum(Kind::Float).backward();
        }
        if let Some(most) = clip {
            let _norm = self.optimizer.clip_grad_norm(most, 2.0).unwrap();
        }
        self.optimizer.step().unwrap();
        self.optimizer.zero_grad().unwrap();
    }
}

/// The hash of the weights that the training leaves, and how many steps it made.
pub(crate) fn train(seed: u64, stages: Vec<Plain>) -> (String, u64) {
    let model = tiny_model();
    let vs = model.var_store();
    let (weight, bias) =
        (vs.variables()["fc.weight"].shallow_clone(), vs.variables()["fc.bias"].shallow_clone());
    let mut steps = 0;
    for (n, plain) in stages.into_iter().enumerate() {
        let mut passes: Vec<Trained> = plain.passes.into_iter().map(|pass| Trained::new(pass, vs)).collect();
        let mut loader = tiny_loader(plain.rows, plain.batch).shuffle(plain.shuffle);
        let batches = loader.batches().unwrap();
        for epoch in 1..=plain.epochs {
            loader.start(Start { seed, stage: n as u64, epoch, ..Start::default() }).unwrap();
            let (mut in_window, mut first, mut ratios) = (0, 0.0, 0.0);
            for at in 1..=batches {
                let batch = loader.next_batch().unwrap().unwrap();
                if in_window == 0 {
                    (first, ratios) = (batch.weight, 0.0);
                }
                let ratio = batch.weight / first;
                (in_window, ratios) = (in_window + 1, ratios + ratio);
                let steps_now = in_window == plain.window || at == batches;
                for (n, pass) in passes.iter_mut().enumerate() {
                    if let Some((schedule, by_epoch)) = &plain.schedule {
                        let counter = if *by_epoch { epoch - 1 } else { pass.optimizer.steps() };
                        pass.set_lr(schedule, counter);
                    }
                    let output = batch.get("input").unwrap().linear(&weight, Some(&bias));
                    let target = batch.get("target").unwrap();
                    let smoothing = pass.label_smoothing;
                    let mut loss =
                        output.cross_entropy_loss::<Tensor>(target, None, Reduction::Mean, -100, smoothing);
                    if plain.penalty {
                        let penalty = weight.square().sum(Kind::Float) * 0.01;
                        loss = &loss + penalty;
                    }
                    pass.add_gradients(&loss, ratio);
                    if steps_now {
                        pass.step(ratios, plain.clip);
                        // a window of several passes is one step
                        steps += u64::from(n == 0);
                    }
                }
                in_window = if steps_now { 0 } else { in_window };
            }
        }
    }
    (sha256(&state_dict(vs)).unwrap(), steps)
}
