//! What a checkpoint holds for others: files that can be read alone, and no state twice.
use std::path::{Path, PathBuf};

use catena::chain::testing::{tiny_batch, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::hash::sha256;
use catena::tensor::init::InitFrom;
use catena::tensor::optim::Optimizer;
use catena::tensor::params::{parameters, state_dict};
use catena::tensor::rng::Exclusive;

fn run(dir: &Path, optimizer: impl Into<OptimizerConfig>, checkpoint: Checkpoint) -> Runner {
    let stage = Stage::new("train")
        .epochs(4)
        .train(tiny_loader(24, 4))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(optimizer)
        .callback(LrSchedule::new(CosineAnnealing::new(30)));
    let mut runner =
        Runner::builder(tiny_model()).stage(stage).run_dir(dir).callback(checkpoint).build().unwrap();
    runner.run().unwrap();
    runner
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.join("manifest.json").is_file()).collect();
    all.sort();
    all
}

/// A step on a batch, and a hash of all weights after it.
fn stepped(model: &mut dyn Model, optimizer: &mut Optimizer) -> String {
    let batch = tiny_batch(4);
    let outputs = model.forward(&batch, Mode::Train).unwrap();
    CrossEntropy::new().loss(&outputs, &batch).unwrap().value.backward();
    optimizer.step().unwrap();
    optimizer.zero_grad().unwrap();
    sha256(&state_dict(model.var_store())).unwrap()
}

#[test]
fn an_optimizers_file_is_read_by_optimizer_load() {
    let _exclusive = Exclusive::wait();
    let with_groups = || OptimizerConfig::from(AdamW::new(0.1)).group(ParamGroup::new("*.bias").lr(0.01));
    let configs: [(&str, &dyn Fn() -> OptimizerConfig); 4] = [
        ("adamw", &with_groups),
        ("sgd", &|| Sgd::new(0.1).momentum(0.9).into()),
        ("plain sgd", &|| Sgd::new(0.1).into()),
        ("lion", &|| Lion::new(0.01).into()),
    ];
    for (name, config) in configs {
        let dir = tempfile::tempdir().unwrap();
        let mut runner = run(dir.path(), config(), Checkpoint::new());
        let newest = checkpoints(dir.path()).pop().unwrap();
        let mut model = tiny_model();
        InitFrom::file(newest.join("model.safetensors")).unwrap().strict().load(model.var_store()).unwrap();
        let mut optimizer = Optimizer::new(config(), &parameters(model.var_store())).unwrap();
        optimizer.load(newest.join("optimizer.main.safetensors")).unwrap();
        let own = runner.driver().context().optimizers.get("main").unwrap();
        assert_eq!((optimizer.steps(), optimizer.lr()), (own.steps(), own.lr()), "{name}");
        // the run's own optimizer takes the same step
        let saved = own.state_dict().unwrap();
        let mut other = Optimizer::new(config(), &parameters(runner.model().var_store())).unwrap();
        other.load_state_dict(&saved).unwrap();
        let expected = stepped(runner.model_mut(), &mut other);
        assert_eq!(stepped(&mut model, &mut optimizer), expected, "{name}");
    }
}

#[test]
fn the_snapshots_that_are_kept_are_of_different_batches() {
    let _exclusive = Exclusive::wait();
    let by_both = || Checkpoint::new().every(Every::Batches(6)).every(Every::Epochs(1));
    for (checkpoint, expected) in [
        (Checkpoint::new(), &["000000000018-e", "000000000024-z"][..]),
        (Checkpoint::new().keep_last(3), &["000000000012-e", "000000000018-e", "000000000024-z"]),
        (by_both().keep_last(2), &["000000000018-e", "000000000024-z"]),
        (by_both().keep_last(1).keep_every(100), &["000000000024-z"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), Sgd::new(0.1), checkpoint);
        let kept = checkpoints(dir.path());
        let names: Vec<&str> = kept.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, expected);
    }
}

/// Nine epochs, of which none is better by so much; a snapshot at the end of every second.
fn patient(dir: &Path, patience: u64) -> Runner {
    let stage = Stage::new("train")
        .epochs(9)
        .train(tiny_loader(24, 4))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(1e-4))
        .callback(EarlyStopping::new("valid/loss").patience(patience).min_delta(10.0));
    let builder = Runner::builder(tiny_model()).stage(stage).run_dir(dir);
    let builder = builder.callback(Checkpoint::new().every(Every::Epochs(2)));
    builder.allow("stop").allow("EarlyStopping").build().unwrap()
}

#[test]
fn a_snapshot_before_a_stop_stays_beside_the_one_after_it_for_who_forgets_the_stop() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let report = patient(dir.path(), 1).run().unwrap();
    assert!(matches!(report.status, Status::Stopped(_)) && report.epochs == 2, "{report:?}");
    let kept = checkpoints(dir.path());
    let names: Vec<&str> = kept.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["000000000012-e", "000000000012-z"]);
    let report = patient(dir.path(), 20).resume(Resume::Latest).unwrap();
    assert_eq!((report.epochs, report.resumed_from), (9, Some(12)));
}

#[test]
fn the_last_snapshot_says_what_was_measured_of_its_parameters() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let runner = run(dir.path(), Sgd::new(0.1), Checkpoint::new());
    let manifest = std::fs::read(checkpoints(dir.path()).pop().unwrap().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let measured = runner.driver().context().metrics.get("valid/loss");
    assert_eq!(manifest["measured"]["valid/loss"].as_f64(), measured);
}
