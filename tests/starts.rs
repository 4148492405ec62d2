//! What a stage starts from, and which snapshots are the best.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

fn train(name: &str, epochs: u64) -> Stage {
    Stage::new(name)
        .epochs(epochs)
        .train(tiny_loader(24, 4))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(3.0))
}

fn test_only() -> Stage {
    Stage::new("test").loader("test", Mode::Eval, tiny_loader(12, 4)).loss(CrossEntropy::new())
}

fn best() -> Checkpoint {
    Checkpoint::new().keep_best(1, "valid/loss", PlateauMode::Min)
}

fn from_best() -> StartFrom {
    StartFrom::Best { metric: "valid/loss".into(), mode: PlateauMode::Min }
}

#[test]
fn a_stage_that_starts_from_the_best_measures_what_the_best_measured_with_an_average_too() {
    let _exclusive = Exclusive::wait();
    let metric = "valid/loss";
    for average in [false, true] {
        let with_average = |builder: catena::RunnerBuilder| {
            if average { builder.callback(Ema::new(0.5)) } else { builder }
        };
        let alone = with_average(Runner::builder(tiny_model()).stage(train("train", 6)));
        let alone = alone.build().unwrap().run().unwrap();
        let (best, last) = (&alone.best[metric], alone.metrics[metric]);
        // the one of the two that is not the last
        let (mode, best) =
            if best.min < last { (PlateauMode::Min, best.min) } else { (PlateauMode::Max, best.max) };
        assert!(best != last, "the last is the best: {last}");
        let dir = tempfile::tempdir().unwrap();
        let builder = Runner::builder(tiny_model())
            .stage(train("train", 6))
            .stage(test_only().start_from(StartFrom::Best { metric: metric.into(), mode }))
            .run_dir(dir.path())
            .callback(Checkpoint::new().keep_best(1, metric, mode));
        let report = with_average(builder).build().unwrap().run().unwrap();
        assert_eq!(report.metrics["test/loss"], best, "average {average}");
    }
}

#[test]
fn a_stage_that_starts_from_the_best_needs_that_it_is_kept() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let build = |checkpoint: Checkpoint| {
        let builder =
            Runner::builder(tiny_model()).stage(train("train", 2)).stage(test_only().start_from(from_best()));
        builder
            .run_dir(dir.path())
            .callback(checkpoint)
            .build()
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    for checkpoint in [
        Checkpoint::new(),
        Checkpoint::new().keep_best(1, "train/loss", PlateauMode::Min),
        Checkpoint::new().keep_best(1, "valid/loss", PlateauMode::Max),
    ] {
        let error = build(checkpoint).unwrap_err();
        assert!(error.contains("keep_best(1, \"valid/loss\", PlateauMode::Min)"), "{error}");
    }
    assert_eq!(build(best()), Ok(()));
}

#[test]
fn what_is_watched_over_the_run_needs_one_stage_that_logs_it() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let build = |stages: [Stage; 2], metric: &str, silent: bool| {
        let [a, b] = stages;
        let mut builder = Runner::builder(tiny_model()).stage(a).stage(b).run_dir(dir.path());
        builder = builder.callback(Checkpoint::new().keep_best(1, metric, PlateauMode::Min));
        if silent {
            builder = builder.callback(on(Event::RunEnd, |_| Ok(Flow::GO)).named("silent"));
        }
        builder.build().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(build([train("train", 1), test_only()], "valid/loss", false), Ok(()));
    assert_eq!(build([train("train", 1), test_only()], "test/loss", false), Ok(()));
    let error = build([train("train", 1), test_only()], "valid/los", false).unwrap_err();
    assert!(
        error.contains("Checkpoint watches `valid/los`, but nobody logs it; in stage `train` logged are"),
        "{error}"
    );
    // a closure may log anything
    assert_eq!(build([train("train", 1), test_only()], "valid/los", true), Ok(()));
    // of a stage's own callback its own stage counts
    let stopping = test_only().callback(EarlyStopping::new("valid/loss"));
    let error = build([train("train", 1), stopping], "valid/loss", false).unwrap_err();
    assert!(error.contains("stage `test`: EarlyStopping watches `valid/loss`"), "{error}");
}

#[test]
fn the_best_is_kept_wherever_it_is_measured() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new("s")
        .epochs(2)
        .train(tiny_loader(40, 4))
        .on_request("valid", tiny_loader(12, 4))
        .callback(Validate::every(Every::Batches(3)))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(2.0));
    let mut runner =
        Runner::builder(tiny_model()).stage(stage).run_dir(dir.path()).callback(best()).build().unwrap();
    let report = runner.run().unwrap();
    drop(runner);
    let measured: Vec<f64> = std::fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .filter_map(|entry| {
            let manifest =
                catena::record::read_manifest(&catena::record::fs::Os, &entry.unwrap().path()).unwrap();
            manifest.measured.get("valid/loss").copied()
        })
        .collect();
    assert!(
        measured.contains(&report.best["valid/loss"].min),
        "{measured:?} lacks {:?}",
        report.best["valid/loss"]
    );
}

#[test]
fn an_evaluation_on_a_loader_that_is_not_there_is_refused_at_build() {
    let _exclusive = Exclusive::wait();
    let build = |loader: &str| {
        let stage = train("train", 1).callback(Validate::every(Every::Steps(1000)).loader(loader));
        Runner::builder(tiny_model()).stage(stage).build().map(|_| ()).map_err(|error| error.to_string())
    };
    let error = build("vlaid").unwrap_err();
    assert!(error.contains("asks for evaluations on loader `vlaid`, but there is no Eval loader of that name; there are: valid"), "{error}");
    assert!(build("train").is_err(), "a Train loader is none");
    assert_eq!(build("valid"), Ok(()));
}
