//! Looking never changes the run: evaluating and logging more or less often gives the same training, to the bit.
use catena::chain::testing::tiny_loader;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, manual_seed};

/// A model with dropout and batch norm: both would notice an evaluation that leaves something behind.
fn model() -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let layers = nn::seq_t()
        .add(nn::linear(&root / "fc1", 4, 16, Default::default()))
        .add(nn::batch_norm1d(&root / "bn", 16, Default::default()))
        .add_fn_t(|x, train| x.relu().dropout(0.3, train))
        .add(nn::linear(&root / "fc2", 16, 3, Default::default()));
    Net::new(vs, layers)
}

fn train(prepare: impl FnOnce(Stage) -> Stage) -> (String, Report) {
    let stage = Stage::new("train")
        .epochs(3)
        .train(tiny_loader(23, 3).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2))
        .callback(Accumulate::new(3));
    let mut runner = Runner::builder(model()).seed(5).stage(prepare(stage)).build().unwrap();
    let report = runner.run().unwrap();
    (sha256(&state_dict(runner.model().var_store())).unwrap(), report)
}

/// Draws from torch's generator in every evaluation batch, as a careless metric might.
fn draw() -> impl Callback {
    on(Event::Forward, |cx| {
        if cx.mode() == Mode::Eval {
            let _drawn = Tensor::rand([7], (Kind::Float, Device::Cpu));
        }
        Ok(Flow::GO)
    })
}

#[test]
fn evaluating_every_batch_every_epoch_or_never_gives_the_same_parameters() {
    let _exclusive = Exclusive::wait();
    let (never, _) = train(|stage| stage);
    let (every_epoch, report) = train(|stage| stage.valid(tiny_loader(6, 2)).callback(draw()));
    assert!(report.metrics.contains_key("valid/loss"));
    let (every_batch, more) = train(|stage| {
        let ask = on(Event::BatchEnd, |cx| {
            if cx.is_train() {
                cx.request_evaluation("valid");
            }
            Ok(Flow::GO)
        });
        stage.on_request("valid", tiny_loader(6, 2)).callback(ask).callback(draw())
    });
    assert_eq!(never, every_epoch);
    assert_eq!(never, every_batch);
    assert_eq!(
        report.metrics["valid/loss"], more.metrics["valid/loss"],
        "the last evaluation saw the same parameters"
    );
    assert_eq!(
        report.metrics["train/loss"], more.metrics["train/loss"],
        "the train loader's metrics were put aside"
    );
}

#[test]
fn reading_metrics_at_every_batch_changes_neither_them_nor_the_parameters() {
    let _exclusive = Exclusive::wait();
    let (seldom, report) = train(|stage| stage.callback(Accuracy::new()));
    let read = on(Event::BatchEnd, |cx| {
        cx.metrics.last("loss")?;
        Ok(Flow::GO)
    });
    let (often, more) =
        train(|stage| stage.callback(Accuracy::new()).callback(read).callback(NanGuard::new()));
    assert_eq!(seldom, often);
    assert_eq!(report.metrics, more.metrics);
}

#[test]
fn an_average_that_evaluations_see_leaves_the_training_alone() {
    let _exclusive = Exclusive::wait();
    let (never, _) = train(|stage| stage);
    let ask = || {
        on(Event::BatchEnd, |cx| {
            if cx.is_train() {
                cx.request_evaluation("valid");
            }
            Ok(Flow::GO)
        })
    };
    let valid = |stage: Stage| stage.on_request("valid", tiny_loader(6, 2)).callback(ask());
    let (own, seen) = train(valid);
    let (averaged, smoothed) = train(|stage| valid(stage).callback(Ema::new(0.9)));
    assert_eq!(never, own);
    assert_eq!(never, averaged, "the model holds its own weights");
    assert_ne!(seen.metrics["valid/loss"], smoothed.metrics["valid/loss"], "evaluations saw the average");
}

#[test]
fn watching_the_machine_changes_neither_parameters_nor_metrics() {
    let _exclusive = Exclusive::wait();
    let valid = |stage: Stage| stage.valid(tiny_loader(6, 2));
    let (unseen, report) = train(valid);
    let (watched, more) = train(|stage| {
        valid(stage)
            .callback(Throughput::new().seconds(0.0).tokens("input"))
            .callback(MemoryUse::new().seconds(0.0))
            .callback(Timeline::new())
            .callback(SyncAudit::new())
            .callback(ModelSummary::new())
            .callback(DeadActivations::new(["output"]))
    });
    assert_eq!(unseen, watched);
    assert_eq!(more.metrics["train/dead/output"], 0.0);
    for (name, value) in &report.metrics {
        assert_eq!(more.metrics[name].to_bits(), value.to_bits(), "{name}");
    }
}
