//! What stands in the model for a while changes nothing by being looked at, and is what it is said to be.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn, nn::ModuleT};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

fn hash(runner: &Runner) -> String {
    sha256(&state_dict(runner.model().var_store())).unwrap()
}

#[test]
fn any_averages_in_any_order_leave_the_training_as_it_is_without_them() {
    let _exclusive = Exclusive::wait();
    type Average = fn(Stage) -> Stage;
    let averages: [(&str, Average); 4] = [
        ("ema", |stage| stage.callback(Ema::new(0.9))),
        ("slow", |stage| stage.callback(Ema::new(0.5).by_epoch().named("slow"))),
        ("swa", |stage| stage.callback(Swa::new(1))),
        ("steps", |stage| stage.callback(Swa::new(2).every_steps(2).named("steps"))),
    ];
    let train = |chosen: &[Average], look: bool| {
        let stage = Stage::new("s")
            .epochs(3)
            .train(tiny_loader(12, 4))
            .on_request("now", tiny_loader(4, 4))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.5));
        let stage = if look {
            stage.valid(tiny_loader(8, 4)).callback(Validate::every(Every::Batches(2)).loader("now"))
        } else {
            stage
        };
        let stage = chosen.iter().fold(stage, |stage, average| average(stage));
        let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
        runner.run().unwrap();
        hash(&runner)
    };
    let plain = train(&[], false);
    for (a, first) in averages {
        for (b, second) in averages.into_iter().filter(|(b, _)| *b != a) {
            assert_eq!(train(&[first, second], true), plain, "{a}, {b}");
        }
    }
    let all: Vec<Average> = averages.iter().map(|(_, average)| *average).collect();
    assert_eq!(train(&all, true), plain);
    assert_eq!(train(&all, false), plain);
}

/// The running mean that belongs to a weight `w` is `2 w`.
fn statistics(with: fn(Stage) -> Stage) -> (f64, f64) {
    let vs = nn::VarStore::new(Device::Cpu);
    let (w, no_affine) =
        (vs.root().ones("w", &[1]), nn::BatchNormConfig { affine: false, ..Default::default() });
    let bn = nn::batch_norm1d(vs.root() / "bn", 1, no_affine);
    let net = Net::from_fn(vs, move |batch, mode| {
        let x = batch.get("input")? * &w;
        Ok(Outputs::from([("bn", bn.forward_t(&x, mode.is_train())), ("output", x)]))
    });
    let data = || {
        let x = Tensor::from_slice(&[1f32, 3., 1., 3.]).view([4, 1]);
        TensorLoader::new(&x, &Tensor::zeros([4], (Kind::Float, Device::Cpu)), 2).unwrap()
    };
    let loss = catena::tensor::loss::from_fn("mean", |o: &Outputs, _: &Batch| {
        Ok(o.get("output")?.mean(Kind::Float))
    });
    let stage = Stage::new("s")
        .epochs(3)
        .train(data())
        .on_request("statistics", data())
        .loss(loss)
        .optimizer(Sgd::new(0.1));
    let mut runner = Runner::builder(net).stage(with(stage)).build().unwrap();
    runner.run().unwrap();
    let all = runner.model().var_store().variables();
    (all["w"].double_value(&[0]), all["bn.running_mean"].double_value(&[0]))
}

#[test]
fn statistics_are_taken_with_the_weights_that_they_are_for() {
    let _exclusive = Exclusive::wait();
    let (w, mean) = statistics(|stage| stage.callback(Swa::new(1).update_bn("statistics").replace()));
    assert!((mean - 2.0 * w).abs() < 1e-6, "{w} {mean}");
    let after = statistics(|stage| {
        stage.callback(Swa::new(1).update_bn("statistics").replace()).callback(Ema::new(0.9))
    });
    let before = statistics(|stage| {
        stage.callback(Ema::new(0.9)).callback(Swa::new(1).update_bn("statistics").replace())
    });
    assert_eq!((after, before), ((w, mean), (w, mean)));
}

#[test]
fn statistics_that_an_interruption_leaves_are_taken_again() {
    let _exclusive = Exclusive::wait();
    let run = |dir: &std::path::Path, stop: u64, resume: bool| {
        let vs = nn::VarStore::new(Device::Cpu);
        let bn = nn::batch_norm1d(vs.root() / "bn", 1, Default::default());
        let net = Net::from_fn(vs, move |b, mode| Ok(bn.forward_t(b.get("input")?, mode.is_train()).into()));
        let data = || {
            let x = Tensor::from_slice(&[0f32, 2., 10., 12.]).view([4, 1]);
            TensorLoader::new(&x, &Tensor::zeros([4, 1], (Kind::Float, Device::Cpu)), 2).unwrap()
        };
        let stage = Stage::new("s")
            .train(data())
            .on_request("statistics", data())
            .loss(Mse::new())
            .optimizer(Sgd::new(0.1))
            .callback(Swa::new(1).update_bn("statistics").replace());
        let signal = on(Event::BatchEnd, move |cx| {
            if cx.loader() == "statistics" && cx.loader_batch() == stop {
                cx.interrupt("SIGINT");
            }
            Ok(Flow::GO)
        });
        let runner =
            Runner::builder(net).stage(stage).callback(signal).callback(Checkpoint::new()).run_dir(dir);
        let mut runner = runner.build().unwrap();
        let report = if resume { runner.resume(Resume::Latest) } else { runner.run() }.unwrap();
        (hash(&runner), report.status)
    };
    let whole = tempfile::tempdir().unwrap();
    let expected = run(whole.path(), 99, false);
    for stop in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        assert_ne!(run(dir.path(), stop, false).1, Status::Completed);
        assert_eq!(run(dir.path(), 99, true), expected, "stopped after batch {stop} of the statistics");
    }
}
