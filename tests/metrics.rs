//! Metrics in whole runs: what the runner reports is what one pass over the whole data gives.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::metrics::{BatchMetric, LossSum, MeanError, MeasuredTensors, Meter, Ranking, Seen, Statistic};
use catena::prelude::*;
use catena::tch::{Kind, Reduction, Tensor};
use catena::tensor::loss;
use catena::tensor::rng::Exclusive;

const CLASSES: Task = Task::Multiclass(3);

fn stage(batch_size: u64) -> Stage {
    Stage::new("train")
        .epochs(2)
        .train(tiny_loader(20, 4).shuffle(true))
        .valid(tiny_loader(23, batch_size))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.5))
}

fn run(stage: Stage) -> (Report, Runner) {
    let mut runner = Runner::builder(tiny_model())
        .stage(stage)
        .callback(Measure::new(ClassScore::f1_score(CLASSES).average(Average::Macro)))
        .callback(Measure::new(ClassScore::accuracy(CLASSES)))
        .callback(Measure::new(Ranking::auroc(CLASSES)))
        .callback(Measure::new(catena::metrics::ConfusionMatrix::new(CLASSES)))
        .callback(Measure::of_loss(Statistic::mean()))
        .callback(Accuracy::new())
        .build()
        .unwrap();
    (runner.run().unwrap(), runner)
}

#[test]
fn a_short_last_batch_counts_by_its_samples() {
    let _exclusive = Exclusive::wait();
    let (whole, _) = run(stage(23));
    for batch_size in [1, 4, 7, 22] {
        let (split, runner) = run(stage(batch_size));
        for name in ["f1_score", "accuracy", "auroc", "loss/mean"] {
            let name = format!("valid/{name}");
            let (a, b) = (whole.metrics[&name], split.metrics[&name]);
            assert!((a - b).abs() < 1e-6, "{name} in batches of {batch_size}: {b}, in one {a}");
        }
        assert_eq!(split.metrics["valid/accuracy"], split.metrics["valid/accuracy@1"]);
        assert!((split.metrics["valid/loss"] - split.metrics["valid/loss/mean"]).abs() < 1e-12);
        let matrices = runner.driver().context().ext.get::<MeasuredTensors>().unwrap();
        let of = |loader: &str| {
            matrices.0[&format!("{loader}/confusion_matrix")].sum(Kind::Double).double_value(&[])
        };
        assert_eq!((of("train"), of("valid")), (20.0, 23.0));
    }
}

#[test]
fn evaluating_in_the_middle_of_an_epoch_leaves_the_train_metrics_alone() {
    let _exclusive = Exclusive::wait();
    let ask = || {
        on(Event::BatchEnd, |cx| {
            if cx.is_train() {
                cx.request_evaluation("extra");
            }
            Ok(Flow::GO)
        })
    };
    let (plain, _) = run(stage(4));
    let (often, _) = run(stage(4).on_request("extra", tiny_loader(9, 2)).callback(ask()));
    assert!(often.metrics.contains_key("extra/f1_score"));
    let of_train = |report: &Report| {
        let metrics = report.metrics.iter().filter(|(name, _)| name.starts_with("train/"));
        metrics.map(|(name, value)| (name.clone(), value.to_bits())).collect::<Vec<_>>()
    };
    assert!(of_train(&plain).len() >= 5);
    assert_eq!(of_train(&plain), of_train(&often));
}

#[test]
fn several_losses_train_as_one() {
    let _exclusive = Exclusive::wait();
    let size = || loss::from_fn("Size", |outputs, _| Ok(outputs.get("output")?.f_square()?.f_mean(None)?));
    let both = loss::from_fn("Both", |outputs, batch| {
        let size = outputs.get("output")?.f_square()?.f_mean(None)?;
        let labels = batch.get("target")?;
        Ok(outputs
            .get("output")?
            .f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0)?
            .f_add(&size.f_mul_scalar(0.5)?)?)
    });
    let train = || Stage::new("train").train(tiny_loader(20, 4)).optimizer(Sgd::new(0.5));
    let losses = LossSum::new().add("ce", 1.0, CrossEntropy::new()).add("size", 0.5, size());
    let (sum, _) = run(train().callback(losses));
    let (one, _) = run(train().loss(both));
    assert!((sum.metrics["train/loss"] - one.metrics["train/loss"]).abs() < 1e-6);
    let parts = sum.metrics["train/ce"] + 0.5 * sum.metrics["train/size"];
    assert!((sum.metrics["train/loss"] - parts).abs() < 1e-6);
}

#[test]
fn a_closure_and_a_metric_driven_by_hand_say_the_same() {
    let (said, is) = (Tensor::from_slice(&[1.0, 2.0, 4.0]), Tensor::from_slice(&[1.0, 3.0, 1.0]));
    let mut closure = Meter::new(BatchMetric::new("mae", |seen: &Seen| {
        Ok((seen.input - seen.need_target()?).f_abs()?.f_mean(None)?)
    }));
    let mut metric = Meter::new(MeanError::absolute());
    for (start, length) in [(0, 2), (2, 1)] {
        let (said, is) = (said.narrow(0, start, length), is.narrow(0, start, length));
        closure.update(&Seen::new(&said).target(&is)).unwrap();
        metric.update(&Seen::new(&said).target(&is)).unwrap();
    }
    assert_eq!(closure.compute().unwrap().number(), Some(4.0 / 3.0));
    assert_eq!(metric.compute().unwrap().number(), Some(4.0 / 3.0));
}

#[test]
fn what_is_logged_outside_of_loaders_is_a_row_of_its_own() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let log = |event: Event| {
        on(event, move |cx| {
            cx.log(event.name(), cx.epoch() as f64 / 2.0, Reduce::Last)?;
            Ok(Flow::GO)
        })
        .named(event.name())
    };
    let outside = [
        Event::RunStart,
        Event::StageStart,
        Event::EpochStart,
        Event::EpochEnd,
        Event::StageEnd,
        Event::RunEnd,
    ];
    let builder = Runner::builder(tiny_model()).stage(stage(4)).run_dir(dir.path());
    let builder = outside.into_iter().fold(builder, |builder, event| builder.callback(log(event)));
    builder.build().unwrap().run().unwrap();
    let table = std::fs::read_to_string(dir.path().join("metrics/run.values.csv")).unwrap();
    let expected =
        "stage,epoch,global_step,global_batch,run_start,stage_start,epoch_start,epoch_end,stage_end,run_end
,0,0,0,0.0,,,,,
train,0,0,0,,0.0,,,,
train,1,0,0,,,0.5,,,
train,1,5,5,,,,0.5,,
train,2,5,5,,,1.0,,,
train,2,10,10,,,,1.0,,
train,2,10,10,,,,,1.0,
,0,10,10,,,,,,0.0
";
    assert_eq!(table, expected);
    let lines = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = lines.lines().filter(|line| line.contains(r#""loader":"","#)).collect();
    assert_eq!(lines.len(), 8);
    let end = r#"{"stage":"train","epoch":1,"loader":"","global_step":5,"global_batch":5,"metrics":{"epoch_end":0.5}}"#;
    assert_eq!(lines[3], end);
}
