//! Who ended a stage early, when and why, stands in the report and in `run.json`, also after a resume.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use serde_json::Value;

fn stage(name: &str) -> Stage {
    Stage::new(name)
        .epochs(9)
        .train(tiny_loader(24, 4))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(1e-4))
}

fn builder(dir: &std::path::Path, until: u64) -> catena::RunnerBuilder {
    let stop = look(Event::BatchEnd, move |cx| {
        if cx.is_train() && cx.global_batch() == until {
            cx.interrupt("test");
        }
        Ok(())
    });
    let head = stage("head").callback(EarlyStopping::new("valid/loss").patience(2).min_delta(10.0));
    Runner::builder(tiny_model())
        .stage(head)
        .stage(stage("all").epochs(2))
        .run_dir(dir)
        .callback(Checkpoint::new())
        .callback(stop.named("stop"))
}

#[test]
fn a_stage_that_was_stopped_early_says_by_whom_when_and_why() {
    let _exclusive = Exclusive::wait();
    for until in [0, 20] {
        let dir = tempfile::tempdir().unwrap();
        let mut report = builder(dir.path(), until).build().unwrap().run().unwrap();
        if until > 0 {
            assert_eq!(report.status, Status::Interrupted("test".into()));
            assert_eq!(report.stages.len(), 1, "the second has not ended");
            report = builder(dir.path(), 0).build().unwrap().resume(Resume::Latest).unwrap();
        }
        let texts: Vec<String> = report.stages.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        let start = "stage `head`: stopped in epoch 3 of 9 by EarlyStopping: valid/loss has not got better in 2 measurements; the best was 1.0986";
        assert!(texts[0].starts_with(start) && texts[0].ends_with("in epoch 1"), "{texts:?}");
        assert_eq!(texts[1], "stage `all`: done in 2 epochs");
        assert_eq!(report.status, Status::Completed);
        let run: Value =
            serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
        assert_eq!(run["stages"][0]["stopped"]["by"], "EarlyStopping");
        assert_eq!((&run["stages"][0]["epoch"], &run["stages"][0]["epochs"]), (&3.into(), &9.into()));
        assert_eq!(run["stages"][1]["stopped"], Value::Null);
    }
}
