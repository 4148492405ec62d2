//! The training with catena's runner.
use catena::prelude::*;
use catena::tch::nn;

use super::data::Data;
use super::settings::Settings;
use super::{BoxError, Outcome};

/// Trains and gives what came of it.
pub(crate) fn train(
    vs: nn::VarStore,
    net: nn::SequentialT,
    data: &Data,
    settings: &Settings,
) -> Result<Outcome, BoxError> {
    let train = TensorLoader::new(&data.train.0, &data.train.1, settings.batch)?.shuffle(true);
    let valid = TensorLoader::new(&data.valid.0, &data.valid.1, settings.batch)?;
    let schedule = settings.schedule(train.batches().unwrap_or(0));

    let mut stage = Stage::new("digits")
        .epochs(settings.epochs)
        .train(train)
        .valid(valid)
        .loss(CrossEntropy::new())
        .optimizer(settings.optimizer());
    if let Some(schedule) = schedule {
        stage = stage.callback(LrSchedule::boxed(schedule));
    }
    if settings.accumulate > 1 {
        stage = stage.callback(Accumulate::new(settings.accumulate));
    }
    if let Some(batches) = settings.stop_after_batches {
        stage = stage.callback(on(Event::BatchEnd, move |cx| {
            if cx.is_train() && cx.global_batch() >= batches {
                std::process::exit(9);
            }
            Ok(Flow::GO)
        }));
    }
    let mut runner = Runner::builder(Net::new(vs, net))
        .seed(settings.seed)
        .stage(stage)
        .callback(Accuracy::new())
        .callback(Progress::new())
        .callback(Console::new())
        .build()?;
    log::info!("{}", runner.plan());
    let report = runner.run()?;

    let optimizer = runner.driver().context().optimizers.get("main").ok_or("the stage has an optimizer")?;
    Ok(Outcome {
        optimizer: optimizer.state(),
        batches: report.batches,
        batches_run: report.batches,
        steps: report.steps,
        train_loss: report.metrics["train/loss"],
        valid_loss: report.metrics["valid/loss"],
        valid_accuracy: report.metrics["valid/accuracy@1"],
    })
}
