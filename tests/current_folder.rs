//! A program that changes its folder after `build()`. One test, for the folder is the whole process's.
use std::path::Path;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn relative_paths_are_meant_from_where_the_program_was_when_it_gave_them() {
    let _exclusive = Exclusive::wait();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let builder = || {
        let stage = Stage::new("train").epochs(2).train(tiny_loader(8, 4)).loss(CrossEntropy::new());
        Runner::builder(tiny_model())
            .run_dir("runs/1")
            .stage(stage.optimizer(Sgd::new(0.1)))
            .callback(Checkpoint::new())
            .callback(Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).with(TensorBoard::new()))
            .callback(Timeline::new().path("trace.json"))
    };
    std::env::set_current_dir(first.path()).unwrap();
    let mut runner = builder().build().unwrap();
    std::env::set_current_dir(second.path()).unwrap();
    runner.run().unwrap();
    drop(runner);
    assert_eq!(names(second.path()), [""; 0]);
    assert_eq!(names(first.path()), ["runs", "trace.json"]);
    let run = first.path().join("runs/1");
    for file in
        ["run.json", "journal.jsonl", "metrics.jsonl", "metrics/train.csv", "tensorboard", "timing.jsonl"]
    {
        assert!(run.join(file).exists(), "{file}");
    }
    assert_eq!(names(&run.join("checkpoints")), ["000000000002-e", "000000000004-z"]);

    std::env::set_current_dir(first.path()).unwrap();
    let mut runner = builder().build().unwrap();
    std::env::set_current_dir(second.path()).unwrap();
    assert_eq!(runner.resume(Resume::Latest).unwrap().batches_run, 0);
    assert_eq!(names(second.path()), [""; 0]);

    let error = Runner::builder(tiny_model())
        .run_dir("")
        .stage(
            Stage::new("train").train(tiny_loader(8, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1)),
        )
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the run directory `` has no absolute path: "), "{error}");
}
