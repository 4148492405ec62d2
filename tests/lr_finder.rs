//! A sweep of learning rates puts everything back.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::hash::sha256;
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
