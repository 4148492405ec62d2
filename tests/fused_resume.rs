//! A run that was made with fused nodes is not gone on without them, unless that is allowed by name. The switch is the process's, so this file has one test.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{Event, Every, look};
use catena::prelude::*;
use catena::tensor::fusing;

fn builder(dir: &std::path::Path, until: Option<u64>) -> catena::RunnerBuilder {
    let stop = look(Event::BatchEnd, move |cx| {
        if cx.is_train() && Some(cx.global_batch()) == until {
            cx.interrupt("a test");
        }
        Ok(())
    });
    let stage = Stage::new("train")
        .epochs(2)
        .train(tiny_loader(10, 4).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.5).momentum(0.9));
    Runner::builder(tiny_model())
        .run_dir(dir)
        .stage(stage)
        .callback(Checkpoint::new().every(Every::Batches(1)))
        .callback(stop.named("stop"))
}

#[test]
fn whether_layers_are_fused_is_recorded_and_a_resume_with_another_answer_is_refused_by_name() {
    let whole = tempfile::tempdir().unwrap();
    let expected = builder(whole.path(), None).build().unwrap().run().unwrap().metrics;
    let dir = tempfile::tempdir().unwrap();
    assert!(fusing::is_on());
    builder(dir.path(), Some(2)).build().unwrap().run().unwrap();
    fusing::set(false);
    let error = builder(dir.path(), None).build().unwrap().resume(Resume::Latest).unwrap_err().to_string();
    let told = "whether layers and losses are fused: true before, false now (`fused`)";
    assert!(error.contains(told), "{error}");
    let report = builder(dir.path(), None).allow("fused").build().unwrap().resume(Resume::Latest).unwrap();
    fusing::set(true);
    // the numbers have the same bits either way
    assert_eq!((report.resumed_from, report.metrics), (Some(2), expected));
}
