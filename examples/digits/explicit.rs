//! The same training written out by hand, with tch and catena's tensor layer only.
use catena::tch::nn::{ModuleT, VarStore};
use catena::tch::{self, Kind, Reduction, Tensor};
use catena::tensor::data::{Loader, Start};
use catena::tensor::optim::Optimizer;
use catena::tensor::params::parameters;
use catena::tensor::rng::manual_seed;

use super::data::Data;
use super::loaders::loaders;
use super::settings::{Network, Settings};
use super::{BoxError, Outcome};

/// A mean over batches, each counting by its samples.
#[derive(Default)]
pub(crate) struct Mean {
    sum: f64,
    weight: f64,
    values: Vec<(Tensor, f64)>,
}

impl Mean {
    fn add(&mut self, value: &Tensor, weight: f64) {
        self.values.push((value.detach(), weight));
    }

    fn value(mut self) -> f64 {
        for (value, weight) in self.values.drain(..) {
            self.sum += weight * value.double_value(&[]);
            self.weight += weight;
        }
        self.sum / self.weight
    }
}

/// Trains and gives what came of it.
pub(crate) fn train(
    vs: &VarStore,
    net: &Network,
    data: &Data,
    settings: &Settings,
) -> Result<Outcome, BoxError> {
    train_and_tell(vs, net, data, settings, |_| ())
}

/// As [`train`], and hands out each batch's loss.
pub(crate) fn train_and_tell(
    vs: &VarStore,
    net: &Network,
    data: &Data,
    settings: &Settings,
    mut tell: impl FnMut(&Tensor),
) -> Result<Outcome, BoxError> {
    let (mut train, mut valid) = loaders(data, settings)?;
    let batches = train.batches().unwrap_or(0);
    let schedule = settings.schedule(batches);
    let mut optimizer = Optimizer::new(settings.optimizer(), &parameters(vs))?;
    let (mut global_batch, mut train_loss, mut valid_loss, mut valid_accuracy) = (0, 0.0, 0.0, 0.0);

    manual_seed(settings.seed);
    for epoch in 1..=settings.epochs {
        let start = Start { seed: settings.seed, epoch, ..Start::default() };
        let mut mean = Mean::default();
        let (mut batch_number, mut micro_batches, mut first, mut ratios) = (0, 0, 0.0, 0.0);
        train.start(start)?;
        while let Some(mut batch) = train.next_batch()? {
            batch.to_device(vs.device())?;
            (global_batch, batch_number) = (global_batch + 1, batch_number + 1);
            set_lr(&mut optimizer, schedule.as_deref())?;
            let output = net.forward_t(batch.get("input")?, true);
            let loss = cross_entropy(&output, batch.get("target")?);
            mean.add(&loss, batch.weight);
            tell(&loss);

            if micro_batches == 0 {
                (first, ratios) = (batch.weight, 0.0);
            }
            let ratio = batch.weight / first;
            (if ratio == 1.0 { loss } else { loss * ratio }).f_backward()?;
            (micro_batches, ratios) = (micro_batches + 1, ratios + ratio);
            if micro_batches == settings.accumulate || batch_number == batches {
                if ratios != 1.0 {
                    optimizer.divide_gradients(ratios)?;
                }
                optimizer.step()?;
                optimizer.zero_grad()?;
                micro_batches = 0;
            }
            if settings.stop_after_batches == Some(global_batch) {
                std::process::exit(9);
            }
        }
        train_loss = mean.value();

        let _no_grad = tch::no_grad_guard();
        let (mut losses, mut accuracies) = (Mean::default(), Mean::default());
        valid.start(start)?;
        while let Some(mut batch) = valid.next_batch()? {
            batch.to_device(vs.device())?;
            let (output, target) = (net.forward_t(batch.get("input")?, false), batch.get("target")?);
            losses.add(&cross_entropy(&output, target), batch.weight);
            accuracies.add(&output.argmax(1, false).eq_tensor(target).mean(Kind::Double), batch.weight);
        }
        (valid_loss, valid_accuracy) = (losses.value(), accuracies.value());
        eprintln!(
            "epoch {epoch}  train loss {train_loss:.4}  valid loss {valid_loss:.4}  accuracy {valid_accuracy:.4}"
        );
    }
    let steps = optimizer.steps();
    let optimizer = optimizer.state();
    Ok(Outcome {
        optimizer,
        batches: global_batch,
        batches_run: global_batch,
        resumed_from: None,
        steps,
        train_loss,
        valid_loss,
        valid_accuracy,
    })
}

fn cross_entropy(output: &Tensor, target: &Tensor) -> Tensor {
    output.cross_entropy_loss::<Tensor>(target, None, Reduction::Mean, -100, 0.0)
}

fn set_lr(
    optimizer: &mut Optimizer,
    schedule: Option<&dyn catena::tensor::schedule::Schedule>,
) -> Result<(), BoxError> {
    let (Some(schedule), steps) = (schedule, optimizer.steps()) else { return Ok(()) };
    for group in optimizer.groups_mut() {
        group.set("lr", schedule.lr(group.initial_lr(), steps))?;
        if let Some(momentum) = schedule.momentum(steps) {
            group.set(if group.get("momentum").is_some() { "momentum" } else { "beta1" }, momentum)?;
        }
    }
    Ok(())
}
