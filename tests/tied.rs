//! Weights with several names: a run with them is the run of a model in which each tensor has one.
use std::path::Path;

use catena::chain::testing;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::init::InitFrom;
use catena::tensor::params::{state_dict, variables};
use catena::tensor::rng::Exclusive;

fn ones(size: &[i64]) -> Tensor {
    Tensor::ones(size, (Kind::Float, Device::Cpu))
}

/// `y = x · w`, whose weight is registered once or twice; its gradient is 8 at first.
fn net(tied: bool) -> (Net, Tensor) {
    let vs = nn::VarStore::new(Device::Cpu);
    let w = vs.root().ones("embed", &[4]);
    if tied {
        let _ = vs.root().add("head", w.shallow_clone(), true);
    }
    let own = w.shallow_clone();
    (Net::from_fn(vs, move |batch, _| Ok(Outputs::from(batch.get("input")?.matmul(&w)))), own)
}

fn stage(optimizer: impl Into<OptimizerConfig>) -> Stage {
    let data = TensorLoader::new(&ones(&[4, 4]), &Tensor::zeros([4], (Kind::Float, Device::Cpu)), 4).unwrap();
    Stage::new("s").train(data).loss(Mse::new()).optimizer(optimizer)
}

/// The first weight after the stage, and what was logged.
fn after(tied: bool, stage: Stage) -> (f64, Vec<(String, f64)>) {
    let (net, w) = net(tied);
    let report = Runner::builder(net).stage(stage).build().unwrap().run().unwrap();
    (w.double_value(&[0]), report.metrics.into_iter().collect())
}

#[test]
fn one_step_of_a_tied_weight_is_that_of_the_weight_alone() {
    let _exclusive = Exclusive::wait();
    let with: [(f64, fn() -> Stage); 8] = [
        (0.92, || stage(Sgd::new(0.01))),
        (0.92, || stage(Sgd::new(0.01)).callback(LossScaler::new().init_scale(1024.0))),
        (0.995, || stage(Sgd::new(0.01)).callback(ClipGradNorm::new(1.0))),
        (0.99, || stage(Sgd::new(0.01)).callback(ClipGradValue::new(1.0))),
        // the weight's norm is 2, the gradient's 16
        (0.99, || stage(Sgd::new(0.01)).callback(AdaptiveClip::new(1.0))),
        (0.92, || {
            stage(Sgd::new(0.01)).callback(Accumulate::new(3)).callback(GradNorms::new().matching("embed"))
        }),
        (0.9, || stage(Adam::new(0.1))),
        (1.0, || stage(Sgd::new(0.01)).callback(Lookahead::new().k(1).alpha(1e-9))),
    ];
    for (i, (expected, stage)) in with.into_iter().enumerate() {
        let ((alone, _), (tied, _)) = (after(false, stage()), after(true, stage()));
        assert_eq!(tied.to_bits(), alone.to_bits(), "case {i}: {tied}, alone {alone}");
        assert!((tied - expected).abs() < 1e-6, "case {i}: {tied}");
    }
}

#[test]
fn several_micro_batches_and_sam_divide_and_climb_once() {
    let _exclusive = Exclusive::wait();
    let data = || {
        let x = (Tensor::arange(48, (Kind::Float, Device::Cpu)) * 0.37).sin().view([12, 4]);
        TensorLoader::new(&x, &Tensor::zeros([12], (Kind::Float, Device::Cpu)), 2).unwrap()
    };
    let with: [fn(Stage) -> Stage; 3] = [
        |stage| stage.callback(Accumulate::new(3)),
        |stage| stage.callback(Sam::new(0.1)),
        |stage| {
            stage.callback(Accumulate::new(2)).callback(LossScaler::new()).callback(ClipGradNorm::new(0.1))
        },
    ];
    for (i, with) in with.into_iter().enumerate() {
        let stage =
            || with(Stage::new("s").epochs(2).train(data()).loss(Mse::new()).optimizer(AdamW::new(0.05)));
        assert_eq!(after(false, stage()), after(true, stage()), "case {i}");
    }
}

#[test]
fn norms_are_logged_once_under_the_name_that_the_tensor_goes_by() {
    let _exclusive = Exclusive::wait();
    for pattern in ["embed", "head", "*"] {
        let (_, logged) = after(true, stage(Sgd::new(0.01)).callback(GradNorms::new().matching(pattern)));
        let norms: Vec<&(String, f64)> =
            logged.iter().filter(|(name, _)| name.contains("grad_norm")).collect();
        assert_eq!(norms, [&("train/grad_norm/embed".to_owned(), 16.0)], "{pattern}");
    }
}

#[test]
fn a_tensor_that_is_frozen_under_one_name_is_frozen_and_a_pass_finds_it_by_any() {
    let _exclusive = Exclusive::wait();
    for name in ["embed", "head"] {
        let (net, w) = net(true);
        let error = Runner::builder(net).stage(stage(Sgd::new(0.01)).freeze(name)).build().unwrap_err();
        assert!(
            error.to_string().contains("so that nothing is left to train"),
            "there is nothing left to train: {error}"
        );
        assert!(w.requires_grad());
        let (net, w) = self::net(true);
        let pass = Pass::new("main").optimizer(Sgd::new(0.01)).loss(Mse::new()).params(name);
        let data =
            TensorLoader::new(&ones(&[4, 4]), &Tensor::zeros([4], (Kind::Float, Device::Cpu)), 4).unwrap();
        Runner::builder(net).stage(Stage::new("s").train(data).pass(pass)).build().unwrap().run().unwrap();
        assert!((w.double_value(&[0]) - 0.92).abs() < 1e-6);
    }
}

#[test]
fn groups_that_claim_a_tensor_by_two_names_and_views_are_refused_at_build() {
    let _exclusive = Exclusive::wait();
    let groups = Sgd::new(0.1)
        .group(catena::tensor::optim::ParamGroup::new("embed").lr(0.5))
        .group(catena::tensor::optim::ParamGroup::new("head").lr(0.2));
    let text = Runner::builder(net(true).0).stage(stage(groups)).build().unwrap_err().to_string();
    assert!(
        text.contains("`embed` and `head` are names of one tensor, but the group `embed` claims"),
        "{text}"
    );

    let (net, w) = net(false);
    let _ = net.var_store().root().add("shown", w.detach().view([2, 2]), false);
    let text = Runner::builder(net).stage(stage(Sgd::new(0.1))).build().unwrap_err().to_string();
    assert!(text.contains("`embed` and `shown` are two tensors over the same memory"), "{text}");
}

#[test]
fn a_summary_and_the_plan_count_a_tied_weight_once() {
    let _exclusive = Exclusive::wait();
    let (net, _) = net(true);
    assert_eq!(catena::callbacks::Summary::of(net.var_store()).parameters(), 4);
    let runner = Runner::builder(net).stage(stage(Sgd::new(0.1))).build().unwrap();
    assert!(runner.plan().starts_with("model: 4 trainable numbers in 1 tensors"), "{}", runner.plan());
}

fn saved(dir: &Path, tied: bool, epochs: u64) -> (catena::RunnerBuilder, Tensor) {
    let (net, w) = net(tied);
    let stage = stage(Adam::new(0.1)).epochs(epochs).callback(Ema::new(0.5)).callback(Lookahead::new().k(2));
    let checkpoint = Checkpoint::new().every(catena::chain::Every::Epochs(1)).keep_every(1);
    (Runner::builder(net).run_dir(dir).stage(stage).callback(checkpoint), w)
}

#[test]
fn a_saved_run_goes_on_to_the_same_bits_and_its_files_have_every_name() {
    let _exclusive = Exclusive::wait();
    let (whole, part) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hashes = |runner: &Runner| {
        let cx = runner.driver().context();
        let (_, optimizer) = cx.optimizers.iter().next().unwrap();
        (sha256(&variables(cx.model.var_store())).unwrap(), sha256(&optimizer.state()).unwrap())
    };
    let mut runner = saved(whole.path(), true, 4).0.build().unwrap();
    runner.run().unwrap();
    let expected = hashes(&runner);
    saved(part.path(), true, 2).0.build().unwrap().run().unwrap();
    let mut runner = saved(part.path(), true, 4).0.allow("epochs").build().unwrap();
    runner.resume(Resume::Latest).unwrap();
    assert_eq!(hashes(&runner), expected);

    let snapshot = whole.path().join("checkpoints/000000000004-z");
    let names = |file: &str| {
        let mut names: Vec<String> = Tensor::read_safetensors(snapshot.join(file))
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("model.safetensors"), ["embed", "head"]);
    assert_eq!(names("optimizer.main.safetensors"), ["embed.exp_avg", "embed.exp_avg_sq", "embed.step"]);
    let callbacks = names("callbacks.safetensors");
    assert!(
        ["0/Ema/embed", "0/Ema/head"].iter().all(|name| callbacks.iter().any(|own| own == name)),
        "{callbacks:?}"
    );
    // a model in which they are two takes the file too
    let vs = nn::VarStore::new(Device::Cpu);
    let _ = (vs.root().zeros("embed", &[4]), vs.root().zeros("head", &[4]));
    assert!(InitFrom::file(&snapshot).unwrap().strict().load(&vs).unwrap().is_complete());
    let all = state_dict(&vs);
    assert_eq!(all[0].1, all[1].1);
}

#[test]
fn a_model_with_other_ties_is_another_run() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), true, 1).0.build().unwrap().run().unwrap();
    let vs = nn::VarStore::new(Device::Cpu);
    let (w, _) = (vs.root().ones("embed", &[4]), vs.root().ones("head", &[4]));
    let net = Net::from_fn(vs, move |batch, _| Ok(Outputs::from(batch.get("input")?.matmul(&w))));
    let stage = stage(Adam::new(0.1)).callback(Ema::new(0.5)).callback(Lookahead::new().k(2));
    let checkpoint = Checkpoint::new().every(catena::chain::Every::Epochs(1)).keep_every(1);
    let builder = Runner::builder(net).run_dir(dir.path()).stage(stage).callback(checkpoint);
    let text = builder.build().unwrap().resume(Resume::Latest).unwrap_err().to_string();
    assert!(text.contains("the names of one tensor: embed = head before, none now"), "{text}");
}

#[test]
fn a_batch_that_is_changed_in_place_leaves_the_users_data_alone() {
    let _exclusive = Exclusive::wait();
    for shuffle in [true, false] {
        let x = Tensor::full([4, 4], 255.0, (Kind::Float, Device::Cpu));
        let data = TensorLoader::new(&x, &Tensor::zeros([4], (Kind::Int64, Device::Cpu)), 4)
            .unwrap()
            .shuffle(shuffle);
        let normalise = on(Event::BatchStart, |cx| {
            for tensor in cx.batch.tensors.tensors_mut().take(1) {
                let _ = tensor.f_div_scalar_(255.0)?;
            }
            Ok(Flow::GO)
        });
        let stage = Stage::new("s").epochs(3).train(data).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
        Runner::builder(testing::tiny_model())
            .stage(stage)
            .callback(normalise)
            .build()
            .unwrap()
            .run()
            .unwrap();
        assert_eq!(x.double_value(&[0, 0]), 255.0, "shuffle {shuffle}");
    }
}
