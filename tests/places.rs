//! Names that don't exist, and runs where none may be: refused with a sentence.
#[path = "common/warnings.rs"]
mod warnings;

use catena::chain::Only;
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use catena::tensor::tch::{Device, Kind, Tensor};

use crate::warnings::warnings;

fn stage(name: &str) -> Stage {
    Stage::new(name)
        .train(tiny_loader(12, 4))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(1.0))
}

fn watcher() -> impl Callback {
    look(Event::BatchEnd, |_| Ok(()))
}

#[test]
fn a_callback_that_hears_a_loader_or_a_stage_only_needs_one_of_that_name() {
    let _exclusive = Exclusive::wait();
    let refused =
        |builder: catena::RunnerBuilder| builder.build().map(|_| ()).map_err(|error| error.to_string());
    let two = || {
        Runner::builder(tiny_model()).stage(stage("a")).stage(stage("b").loader(
            "holdout",
            Mode::Eval,
            tiny_loader(4, 4),
        ))
    };
    for only in [Only::Loader("holdout".into()), Only::Stage("b".into()), Only::Mode(Mode::Infer)] {
        assert_eq!(refused(two().callback(watcher().only(only.clone()))), Ok(()), "{only}");
    }
    let error = refused(two().callback(watcher().named("w").only("vaild"))).unwrap_err();
    assert_eq!(
        error,
        "w: it is to hear loader `vaild` only, but there is none of that name; there are: train, valid, train, valid, holdout"
    );
    let error =
        refused(two().callback(watcher().named("w").only(Only::Stage("c".into())).every(Every::Batches(2))))
            .unwrap_err();
    assert_eq!(error, "w: it is to hear stage `c` only, but there is none of that name; there are: a, b");
    // a callback of one stage has the loaders of that stage
    let own = Runner::builder(tiny_model())
        .stage(stage("a").callback(watcher().named("w").only("holdout")))
        .stage(stage("b").loader("holdout", Mode::Eval, tiny_loader(4, 4)));
    let error = refused(own).unwrap_err();
    assert_eq!(
        error,
        "w: it is to hear loader `holdout` only, but there is none of that name; there are: train, valid"
    );
}

#[test]
fn a_run_inside_a_hook_of_another_is_refused_and_leaves_the_outer_one_alone() {
    let _exclusive = Exclusive::wait();
    let outer = |callback: Option<Box<dyn Callback>>| {
        let draw = || f64::try_from(Tensor::randn([1], (Kind::Double, Device::Cpu)));
        let draws = on(Event::BatchStart, move |cx| {
            cx.log("drawn", draw()?, Reduce::Sum)?;
            Ok(Flow::GO)
        });
        let mut builder = Runner::builder(tiny_model()).seed(1).stage(stage("outer")).callback(draws);
        builder = callback.into_iter().fold(builder, |builder, callback| builder.callback(callback));
        let mut runner = builder.build().unwrap();
        let report = runner.run().unwrap();
        report.metrics["train/drawn"]
    };
    let (tell, told) = std::sync::mpsc::channel();
    let nested = look(Event::BatchEnd, move |_| {
        let mut inner = Runner::builder(tiny_model()).seed(2).stage(stage("inner")).build()?;
        for _ in 0..2 {
            tell.send(inner.run().unwrap_err().to_string())?;
        }
        Ok(())
    });
    assert_eq!(outer(Some(Box::new(nested))), outer(None));
    let errors: Vec<String> = told.iter().collect();
    assert!(
        errors.len() > 2
            && errors.iter().all(|error| error.starts_with("a run was begun inside a hook of another run")),
        "{errors:?}"
    );
}

#[test]
fn a_metric_that_is_watched_and_never_measured_is_told_at_the_stages_end() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    for (metric, told) in [("valid/los", true), ("valid/loss", false)] {
        // a closure does not say what it logs, so `build()` can't know
        let runner = Runner::builder(tiny_model())
            .run_dir(dir.path().join(metric))
            .stage(stage("s"))
            .callback(watcher())
            .callback(Checkpoint::new().every(Every::Epochs(1)).keep_best(1, metric, PlateauMode::Min));
        let said = warnings(|| drop(runner.build().unwrap().run().unwrap()));
        let sentence = "Checkpoint watches `valid/los`, and stage `s` has ended: there is no metric `valid/los`; there are: ";
        assert_eq!(said.iter().any(|line| line.starts_with(sentence)), told, "{metric}: {said:?}");
    }
}
