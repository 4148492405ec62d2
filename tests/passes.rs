//! Several passes a batch: each has its own gradients, scale, rates, slow weights and metrics.
use std::path::Path;

use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::rng::Exclusive;

fn loss(factor: f64) -> impl LossFn {
    catena::tensor::loss::from_fn("sum", move |o: &Outputs, _: &Batch| {
        Ok(o.get("output")?.sum(Kind::Float) * factor)
    })
}

fn data(x: &[f32]) -> TensorLoader {
    let rows = x.len() as i64;
    let zeros = Tensor::zeros([rows], (Kind::Float, Device::Cpu));
    TensorLoader::new(&Tensor::from_slice(x).view([rows, 1]), &zeros, 1).unwrap()
}

/// Both passes train `w`; only A moves it.
fn shared(window: u64, dir: Option<&Path>) -> (Runner, Tensor) {
    let vs = nn::VarStore::new(Device::Cpu);
    let w = vs.root().zeros("w", &[1]);
    let v = w.shallow_clone();
    let net = Net::from_fn(vs, move |b, _| Ok(Outputs::from(&v * b.get("input")?)));
    let stage = Stage::new("s")
        .train(data(&[1., 3., 5., 7., 9.]))
        .pass(Pass::new("A").loss(loss(1.0)).optimizer(Sgd::new(1.0)))
        .pass(Pass::new("B").loss(loss(100.0)).optimizer(Sgd::new(0.0)));
    let runner = Runner::builder(net).stage(stage).callback(Accumulate::new(window));
    let runner = match dir {
        Some(dir) => runner.run_dir(dir).callback(Checkpoint::new().every(Every::Batches(1)).keep_last(9)),
        None => runner,
    };
    (runner.build().unwrap(), w)
}

#[test]
fn passes_over_one_parameter_step_with_their_own_gradients_and_so_do_resumed_ones() {
    let _exclusive = Exclusive::wait();
    for (window, expected) in [(1, -25.0), (2, -2.0 - 6.0 - 9.0), (3, -3.0 - 8.0), (9, -5.0)] {
        let dir = tempfile::tempdir().unwrap();
        let (mut runner, w) = shared(window, Some(dir.path()));
        runner.run().unwrap();
        assert_eq!(w.double_value(&[0]), expected, "window {window}");
        drop(runner);
        for batch in 1..=5 {
            let (mut runner, w) = shared(window, Some(dir.path()));
            let snapshot = dir.path().join(format!("checkpoints/{batch:012}-b"));
            if !snapshot.exists() {
                continue; // set aside by a resume before
            }
            runner.resume(Resume::Path(snapshot)).unwrap();
            assert_eq!(w.double_value(&[0]), expected, "window {window}, from batch {batch}");
        }
    }
}

/// The weights `a.w` and `b.w` after a run in which each pass trains its own.
fn apart(with: impl Fn(Stage) -> Stage, factors: [f64; 2]) -> [f64; 2] {
    let vs = nn::VarStore::new(Device::Cpu);
    let (a, b) = ((vs.root() / "a").zeros("w", &[1]), (vs.root() / "b").zeros("w", &[1]));
    let (v, u) = (a.shallow_clone(), b.shallow_clone());
    let net = Net::from_fn(vs, move |x, _| Ok(Outputs::from((&v + &u) * x.get("input")?)));
    let pass = |name: &str, factor: f64| {
        let params = format!("{}.*", name.to_lowercase());
        Pass::new(name).params(params).loss(loss(factor)).optimizer(Sgd::new(1.0))
    };
    let stage = Stage::new("s")
        .epochs(2)
        .train(data(&[1., 1., 1.]))
        .pass(pass("A", factors[0]))
        .pass(pass("B", factors[1]));
    Runner::builder(net).stage(with(stage)).build().unwrap().run().unwrap();
    [a.double_value(&[0]), b.double_value(&[0])]
}

#[test]
fn what_moves_a_pass_moves_each_by_its_own_steps() {
    let _exclusive = Exclusive::wait();
    type With = fn(Stage) -> Stage;
    let same: [(&str, With); 6] = [
        ("nothing", |stage| stage),
        ("a schedule by steps", |stage| stage.callback(LrSchedule::new(Linear::new()))),
        ("a schedule by epochs", |stage| stage.callback(LrSchedule::new(Exponential::new(0.5)).by_epoch())),
        ("lookahead", |stage| stage.callback(Lookahead::new().k(2).alpha(0.25))),
        ("windows", |stage| stage.callback(Accumulate::new(2))),
        ("a scale", |stage| stage.callback(LossScaler::new().growth_interval(1))),
    ];
    for (what, with) in same {
        let [a, b] = apart(with, [1.0, 1.0]);
        assert_eq!(a, b, "{what}");
        assert!(a < 0.0, "{what}");
    }
}

#[test]
fn a_scale_that_shrinks_in_one_pass_leaves_the_others_window_alone() {
    let _exclusive = Exclusive::wait();
    // B overflows at each of its steps; A's are exact at any scale
    let scaled = |stage: Stage| {
        stage.callback(LossScaler::new().init_scale(2.0).growth_interval(2)).callback(Accumulate::new(2))
    };
    assert_eq!(apart(scaled, [1.0, f64::INFINITY]), [-4.0, 0.0]);
}

#[test]
fn each_pass_has_a_metric_of_its_own_and_measures_find_passes_by_name() {
    let _exclusive = Exclusive::wait();
    let (tell, told) = std::sync::mpsc::channel();
    let see = look(Event::EpochEnd, move |cx| {
        for name in ["train/grad_norm/A", "train/grad_norm/B"] {
            tell.send(cx.metrics.require(name)?)?;
        }
        Ok(())
    });
    let see = std::cell::RefCell::new(Some(see));
    let norms = |stage: Stage| stage.callback(ClipGradNorm::new(1e9)).callback(see.take().unwrap());
    apart(norms, [1.0, 3.0]);
    assert_eq!(told.iter().collect::<Vec<f64>>(), [1.0, 3.0, 1.0, 3.0]);
}
