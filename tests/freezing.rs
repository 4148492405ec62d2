//! What a stage freezes stays: weights, and a batch norm's statistics.
use catena::chain::testing::tiny_loader;
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::layers::{BatchNorm1d, Layers, Linear};
use catena::tensor::rng::{Exclusive, manual_seed};

/// A backbone with batch norm, typed or of tch, and a head.
fn model(typed: bool) -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    if typed {
        let layers = Layers::new()
            .layer(&root / "backbone" / "fc", Linear::new(4, 6))
            .unwrap()
            .layer(&root / "backbone" / "bn", BatchNorm1d::new(6))
            .unwrap()
            .layer(&root / "head", Linear::new(6, 3))
            .unwrap();
        return Net::new(vs, layers);
    }
    let backbone = &root / "backbone";
    let layers = nn::seq_t()
        .add(nn::linear(&backbone / "fc", 4, 6, Default::default()))
        .add(nn::batch_norm1d(&backbone / "bn", 6, Default::default()))
        .add(nn::linear(&root / "head", 6, 3, Default::default()));
    Net::new(vs, layers)
}

fn named(net: &dyn Model, name: &str) -> Vec<f32> {
    Vec::<f32>::try_from(&net.var_store().variables()[name].flatten(0, -1)).unwrap()
}

fn stage(freeze: impl FnOnce(Stage) -> Stage) -> Stage {
    let stage = Stage::new("s").epochs(2).train(tiny_loader(24, 4)).valid(tiny_loader(8, 4));
    freeze(stage.loss(CrossEntropy::new()).optimizer(Sgd::new(0.1)))
}

const STATISTICS: [&str; 2] = ["backbone.bn.running_mean", "backbone.bn.running_var"];
const WEIGHTS: [&str; 4] =
    ["backbone.fc.weight", "backbone.fc.bias", "backbone.bn.weight", "backbone.bn.bias"];

#[test]
fn a_frozen_batch_norm_keeps_its_statistics_and_one_whose_parameters_alone_are_frozen_moves_them() {
    let _exclusive = Exclusive::wait();
    for typed in [true, false] {
        for sam in [false, true] {
            let before = model(typed);
            let run = |freeze: &dyn Fn(Stage) -> Stage| {
                let stage = stage(freeze);
                let stage = if sam { stage.callback(Sam::new(0.05)) } else { stage };
                let mut runner = Runner::builder(model(typed)).stage(stage).build().unwrap();
                runner.run().unwrap();
                runner
            };
            let frozen = run(&|stage| stage.freeze("backbone.*"));
            for name in STATISTICS.iter().chain(&WEIGHTS) {
                assert_eq!(
                    named(frozen.model(), name),
                    named(&before, name),
                    "{name}, typed {typed}, sam {sam}"
                );
            }
            assert_ne!(named(frozen.model(), "head.weight"), named(&before, "head.weight"));
            let parameters = run(&|stage| stage.freeze_parameters("backbone.*"));
            for name in WEIGHTS {
                assert_eq!(named(parameters.model(), name), named(&before, name), "{name}");
            }
            for name in STATISTICS {
                assert_ne!(named(parameters.model(), name), named(&before, name), "{name}");
            }
        }
    }
}

#[test]
fn a_frozen_batch_norm_of_layers_normalises_by_its_statistics_and_the_next_stages_does_not() {
    let _exclusive = Exclusive::wait();
    let by_batch = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = by_batch.clone();
    // what the model gives in training and in evaluation mode
    let compare = move || {
        let seen = seen.clone();
        look(Event::Forward, move |cx| {
            if cx.is_train() {
                let trained = cx.outputs.get("output")?.detach();
                let input = cx.batch.get("input")?.shallow_clone();
                let named = cx.model.var_store().variables();
                let hidden = input.linear(&named["backbone.fc.weight"], Some(&named["backbone.fc.bias"]));
                let mean = &named["backbone.bn.running_mean"];
                let var = &named["backbone.bn.running_var"];
                let normal = (hidden - mean) / (var + 1e-5).sqrt();
                let output = normal.linear(&named["head.weight"], Some(&named["head.bias"]));
                let off: f64 = (output - trained).abs().max().double_value(&[]);
                seen.borrow_mut().push((cx.stage().to_owned(), off > 1e-4));
            }
            Ok(())
        })
        .in_phase(Phase::Report)
    };
    let first =
        Stage::new("first").train(tiny_loader(8, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.0));
    let second =
        Stage::new("second").train(tiny_loader(8, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.0));
    let builder = Runner::builder(model(true))
        .stage(first.freeze("backbone.*").callback(compare()))
        .stage(second.callback(compare()));
    builder.build().unwrap().run().unwrap();
    let by_batch = by_batch.borrow();
    let of = |stage: &str| {
        by_batch.iter().filter(|(name, _)| name == stage).map(|(_, off)| *off).collect::<Vec<_>>()
    };
    assert_eq!((of("first"), of("second")), (vec![false, false], vec![true, true]));
    // and after the run the model is as ever
    let net = model(true);
    let input = Tensor::randn([4, 4], (Kind::Float, Device::Cpu));
    let before = named(&net, STATISTICS[0]);
    let mut net = net;
    net.forward(&Batch::new([("input", input)]), Mode::Train).unwrap();
    assert_ne!(named(&net, STATISTICS[0]), before);
}

#[test]
fn what_is_frozen_and_how_is_a_part_of_the_run_and_stays_over_a_resume() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let builder = |until: u64, parameters: bool| {
        let stop = look(Event::BatchEnd, move |cx| {
            if cx.is_train() && cx.global_batch() == until {
                cx.interrupt("test");
            }
            Ok(())
        });
        let stage = stage(|stage| {
            if parameters { stage.freeze_parameters("backbone.*") } else { stage.freeze("backbone.*") }
        });
        Runner::builder(model(false))
            .stage(stage.callback(stop))
            .run_dir(dir.path())
            .callback(Checkpoint::new())
    };
    let plan = builder(0, true).build().unwrap().plan();
    assert!(plan.contains("frozen, but not its running statistics: backbone.*"), "{plan}");
    builder(4, false).build().unwrap().resume(Resume::LatestIfAny).unwrap();
    let error = builder(0, true).build().unwrap().resume(Resume::Latest).unwrap_err().to_string();
    assert!(error.contains("what is frozen of stage `s`: backbone.* before, none now"), "{error}");
    let mut resumed = builder(0, false).build().unwrap();
    resumed.resume(Resume::Latest).unwrap();
    let before = model(false);
    for name in STATISTICS {
        assert_eq!(named(resumed.model(), name), named(&before, name), "{name}");
    }
}
