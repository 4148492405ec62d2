//! The training with catena's runner.
use catena::metrics::ConfusionMatrix;
use catena::prelude::*;
use catena::tch::nn;

use super::data::Data;
use super::loaders::loaders;
use super::settings::{Network, Settings};
use super::{BoxError, Outcome};

/// Trains and gives what came of it.
pub(crate) fn train(
    vs: nn::VarStore,
    net: Network,
    data: &Data,
    settings: &Settings,
    run_log: RunLog,
) -> Result<Outcome, BoxError> {
    let (train, valid) = loaders(data, settings)?;
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
        let mut left = batches;
        stage = stage.callback(look(Event::BatchEnd, move |cx| {
            left -= u64::from(cx.is_train());
            if left == 0 {
                std::process::exit(9);
            }
            Ok(())
        }));
    }
    let mut builder = Runner::builder(Net::new(vs, net))
        .seed(settings.seed)
        .stage(stage)
        .callback(Accuracy::new())
        .callback(Progress::new())
        .callback(Console::new());
    if let Some(dir) = &settings.dir {
        let every = settings.checkpoint_every.unwrap_or(Every::Epochs(1));
        let loggers = Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).with(TensorBoard::new());
        let loggers = loggers.params(settings);
        let confusion = ConfusionMatrix::new(Task::Multiclass(data.classes()));
        builder = builder
            .run_dir(dir)
            .callback(Measure::new(confusion).only("valid"))
            .callback(Checkpoint::new().every(every))
            .callback(Signals::new())
            .callback(loggers)
            .callback(run_log);
    }
    if settings.profile {
        builder = builder.callback(Timeline::new()).callback(MemoryUse::new()).callback(SyncAudit::new());
    }
    let mut runner = builder.build()?;
    log::info!("{}", runner.plan());
    let report = if settings.resume { runner.resume(Resume::LatestIfAny)? } else { runner.run()? };
    if let Status::Interrupted(signal) = &report.status {
        eprintln!("{signal}: stopped after {} batches, and saved; go on with --resume", report.batches);
        std::process::exit(if signal == "SIGINT" { 130 } else { 143 });
    }

    let optimizer = runner.driver().context().optimizers.get("main").ok_or("the stage has an optimizer")?;
    Ok(Outcome {
        optimizer: optimizer.state(),
        batches: report.batches,
        batches_run: report.batches_run,
        resumed_from: report.resumed_from,
        steps: report.steps,
        train_loss: report.metrics["train/loss"],
        valid_loss: report.metrics["valid/loss"],
        valid_accuracy: report.metrics["valid/accuracy@1"],
    })
}
