//! A sweep of learning rates puts everything back.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::hash::sha256;
use catena::tensor::loss::LossFn;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

fn stage(name: &str) -> Stage {
    Stage::new(name)
        .epochs(20)
        .train(tiny_loader(24, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1).momentum(0.9))
}

#[test]
fn a_sweep_finds_a_rate_and_leaves_the_weights_as_they_were() {
    let _exclusive = Exclusive::wait();
    let model = tiny_model();
    let before = sha256(&state_dict(model.var_store())).unwrap();
    let find = stage("find").callback(LrFinder::new().range(1e-4, 1e3).num_steps(60).smoothing(0.5));
    let mut runner = Runner::builder(model).stage(find).build().unwrap();
    let report = runner.run().unwrap();
    let curve = runner.driver().context().ext.get::<LrCurve>().unwrap();
    assert!(curve.points.len() > 10 && curve.points.len() as u64 == report.steps);
    let suggestion = curve.suggestion().unwrap();
    assert!((1e-3..1e2).contains(&suggestion), "{suggestion}");
    assert_eq!(sha256(&state_dict(runner.model().var_store())).unwrap(), before);
    let optimizer = runner.driver().context().optimizers.get("main").unwrap();
    assert_eq!((optimizer.lr(), optimizer.steps(), optimizer.state().len()), (0.1, 0, 0));
}

#[test]
fn a_stage_after_the_sweep_trains_as_if_it_had_not_been() {
    let _exclusive = Exclusive::wait();
    let run = |find: bool| {
        let mut builder = Runner::builder(tiny_model());
        if find {
            builder = builder.stage(stage("find").callback(LrFinder::new().range(1e-3, 10.0).num_steps(30)));
        }
        let mut runner = builder.stage(stage("train").epochs(2)).build().unwrap();
        runner.run().unwrap();
        sha256(&state_dict(runner.model().var_store())).unwrap()
    };
    assert_eq!(run(false), run(true));
}

/// A sweep over 400 rows in batches of 8, whose labels are the largest of three inputs; `ignored` ones from row 80 to 88.
fn sweep(loss: impl LossFn + 'static, ignored: bool) -> LrCurve {
    catena::tensor::rng::manual_seed(1);
    let x = Tensor::randn([400, 4], (Kind::Float, Device::Cpu));
    let y = x.narrow(1, 0, 3).argmax(1, false);
    if ignored {
        let _ = y.narrow(0, 80, 8).fill_(-100);
    }
    let stage = Stage::new("sweep").epochs(9).train(TensorLoader::new(&x, &y, 8).unwrap()).loss(loss);
    let stage = stage.optimizer(Sgd::new(0.1)).callback(LrFinder::new());
    let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
    runner.run().unwrap();
    runner.driver().context().ext.get::<LrCurve>().unwrap().clone()
}

#[test]
fn a_losss_sign_and_zero_do_not_matter_and_a_batch_that_counts_nothing_judges_nothing() {
    let _exclusive = Exclusive::wait();
    let shifted = |by: f64| {
        catena::tensor::loss::from_fn("shifted", move |outputs: &Outputs, batch: &Batch| {
            Ok(outputs.get("output")?.cross_entropy_for_logits(batch.get("target")?) + by)
        })
    };
    let plain = sweep(CrossEntropy::new(), false);
    for by in [-10.0, -1.0, 10.0] {
        let curve = sweep(shifted(by), false);
        assert_eq!(
            (curve.points.len(), curve.diverged),
            (plain.points.len(), plain.diverged),
            "shifted by {by}"
        );
    }
    let ignoring = sweep(CrossEntropy::new().ignore_index(-100), true);
    assert!(ignoring.points.len() > 80 && ignoring.points.iter().all(|(_, loss)| loss.is_finite()));
}

#[test]
fn a_point_that_is_not_finite_hides_no_suggestion_whatever_its_sign() {
    for last in [f64::NAN, -f64::NAN, f64::INFINITY] {
        let points = vec![(1e-3, 1.0), (1e-2, 0.9), (1e-1, 0.5), (1.0, 0.2), (10.0, last)];
        assert_eq!(LrCurve { points, diverged: true }.suggestion(), Some(0.1), "{last}");
    }
}

#[test]
fn a_guard_says_nothing_of_a_batch_that_counts_nothing() {
    let _exclusive = Exclusive::wait();
    let y = Tensor::from_slice(&[0i64, 1, 2, 0, -100, -100, -100, -100]);
    let x = Tensor::ones([8, 4], (Kind::Float, Device::Cpu));
    let metrics = |guard: bool| {
        let data = TensorLoader::new(&x, &y, 4).unwrap();
        let loss = CrossEntropy::new().ignore_index(-100);
        let stage = Stage::new("s").train(data).loss(loss).optimizer(Sgd::new(0.1));
        let runner = Runner::builder(tiny_model()).stage(stage);
        let runner = if guard { runner.callback(NanGuard::new()) } else { runner };
        runner.build().unwrap().run().unwrap().metrics
    };
    assert_eq!(metrics(true), metrics(false));
    assert!(metrics(true)["train/loss"].is_finite());
}

#[test]
fn a_sweep_that_was_left_in_its_middle_goes_on_and_puts_the_same_back() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let runner = || {
        let find = stage("find").callback(LrFinder::new().range(1e-3, 1.0).num_steps(9));
        Runner::builder(tiny_model())
            .stage(find)
            .stage(stage("train").epochs(1))
            .run_dir(dir.path())
            .callback(Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1))
            .build()
            .unwrap()
    };
    let left = |runner: &Runner, report: &Report| {
        let curve = runner.driver().context().ext.get::<LrCurve>().cloned();
        (sha256(&state_dict(runner.model().var_store())).unwrap(), report.steps, curve)
    };
    let mut whole = runner();
    let report = whole.run().unwrap();
    let expected = left(&whole, &report);
    assert!(expected.2.as_ref().unwrap().points.len() >= 5);
    drop(whole);
    let checkpoints = dir.path().join("checkpoints");
    let mut snapshots: Vec<_> =
        std::fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().path()).collect();
    snapshots.sort();
    assert!(snapshots.len() > 10, "{snapshots:?}");
    for snapshot in snapshots.into_iter().rev() {
        let mut resumed = runner();
        let report = resumed.resume(Resume::Path(snapshot.clone())).unwrap();
        let (hash, steps, curve) = left(&resumed, &report);
        assert_eq!((&hash, steps), (&expected.0, expected.1), "{}", snapshot.display());
        // the sweep of an ended stage is over
        assert!(curve.is_none() || curve == expected.2, "{}", snapshot.display());
    }
}
