//! Sharpness-aware minimisation against PyTorch (`fixtures/make_sam.py` made the numbers), and beside other callbacks.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::data::Start;
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, manual_seed};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    x: Vec<Vec<f64>>,
    y: Vec<i64>,
    params: BTreeMap<String, Numbers>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<i64>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rho: f64,
    adaptive: bool,
    batches: Vec<i64>,
    window: u64,
    optimizer: OptimizerConfig,
    after: BTreeMap<String, Vec<f64>>,
    losses: Vec<f64>,
}

/// The fixture's rows, in batches of these sizes.
struct Rows {
    x: Tensor,
    y: Tensor,
    sizes: Vec<i64>,
    next: usize,
}

impl Loader for Rows {
    fn batches(&self) -> Option<u64> {
        Some(self.sizes.len() as u64)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.next = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        let Some(&size) = self.sizes.get(self.next) else { return Ok(None) };
        let begin: i64 = self.sizes[..self.next].iter().sum();
        self.next += 1;
        let rows = |t: &Tensor| t.narrow(0, begin, size);
        Ok(Some(Batch::new([("input", rows(&self.x)), ("target", rows(&self.y))])))
    }
}

fn model(fixture: &Fixture) -> Net {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let without_bias = nn::LinearConfig { bias: false, ..Default::default() };
    let layers = nn::seq_t()
        .add(nn::linear(&root / "fc1", 4, 6, without_bias))
        .add(nn::batch_norm1d(&root / "bn", 6, Default::default()))
        .add_fn(|x| x.tanh())
        .add(nn::linear(&root / "fc2", 6, 3, Default::default()));
    vs.double();
    for (name, mut tensor) in vs.variables() {
        let Numbers { shape, data } = &fixture.params[&name];
        catena::tch::no_grad(|| tensor.copy_(&Tensor::from_slice(data).view(shape.as_slice())));
    }
    Net::new(vs, layers)
}

#[test]
fn it_steps_as_the_implementation_for_pytorch_does() {
    let _exclusive = Exclusive::wait();
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/sam.json")).unwrap();
    for case in &fixture.cases {
        let x = Tensor::from_slice(&fixture.x.concat()).view([-1, 4]);
        let loader = Rows { x, y: Tensor::from_slice(&fixture.y), sizes: case.batches.clone(), next: 0 };
        let losses = Rc::new(RefCell::new(Vec::new()));
        let record = {
            let losses = losses.clone();
            on(Event::BatchEnd, move |cx| {
                losses.borrow_mut().push(cx.metrics.last("loss")?.unwrap());
                Ok(Flow::GO)
            })
        };
        let sam = if case.adaptive { Sam::new(case.rho).adaptive() } else { Sam::new(case.rho) };
        let stage = Stage::new("train")
            .epochs(3)
            .train(loader)
            .loss(CrossEntropy::new())
            .optimizer(case.optimizer.clone())
            .callback(sam)
            .callback(Accumulate::new(case.window))
            .callback(record);
        let mut runner = Runner::builder(model(&fixture)).stage(stage).build().unwrap();
        runner.run().unwrap();
        let close = |got: &[f64], expected: &[f64], what: &str| {
            assert_eq!(got.len(), expected.len());
            let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
            for (got, expected) in got.iter().zip(expected) {
                let apart = (got - expected).abs();
                assert!(apart <= 1e-12 * largest, "{}: {what} is {got}, torch has {expected}", case.name);
            }
        };
        close(&losses.borrow(), &case.losses, "the loss");
        let variables = state_dict(runner.model().var_store());
        assert_eq!(variables.len(), case.after.len());
        for (name, tensor) in variables {
            close(&Vec::try_from(tensor.flatten(0, -1)).unwrap(), &case.after[&name], &name);
        }
    }
    assert_eq!(fixture.cases.len(), 5);
}

fn train(callbacks: impl FnOnce(Stage) -> Stage) -> (String, Report) {
    let stage = Stage::new("train")
        .epochs(3)
        .train(tiny_loader(24, 4).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.3));
    let mut runner = Runner::builder(tiny_model()).stage(callbacks(stage)).build().unwrap();
    let report = runner.run().unwrap();
    (sha256(&state_dict(runner.model().var_store())).unwrap(), report)
}

#[test]
fn the_loss_scale_does_not_change_the_climb() {
    let _exclusive = Exclusive::wait();
    let (plain, _) = train(|stage| stage.callback(Sam::new(0.2)));
    let (scaled, report) =
        train(|stage| stage.callback(Sam::new(0.2)).callback(LossScaler::new().init_scale(1024.0)));
    assert_eq!(plain, scaled);
    assert_eq!(report.steps, 18);
    assert_ne!(plain, train(|stage| stage).0);
}

#[test]
fn a_climb_that_overflows_is_a_step_that_the_scaler_skips_and_the_weights_stay() {
    let _exclusive = Exclusive::wait();
    let start = sha256(&state_dict(tiny_model().var_store())).unwrap();
    let (end, report) =
        train(|stage| stage.callback(Sam::new(0.2)).callback(LossScaler::new().init_scale(1e300)));
    assert_eq!((end, report.steps), (start, 0));
}

#[test]
fn under_autocast_both_forward_passes_are_in_half_precision() {
    let _exclusive = Exclusive::wait();
    for (autocast, kind) in [(Autocast::bf16(), Kind::BFloat16), (Autocast::f16(), Kind::Half)] {
        let kinds = Rc::new(RefCell::new(Vec::new()));
        let seen = kinds.clone();
        let vs = nn::VarStore::new(Device::Cpu);
        let fc = nn::linear(vs.root() / "fc", 4, 3, Default::default());
        let net = Net::from_fn(vs, move |batch, _| {
            let output = batch.get("input")?.apply(&fc);
            seen.borrow_mut().push(output.kind());
            Ok(output.into())
        });
        let stage = Stage::new("train")
            .train(tiny_loader(8, 4))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.1))
            .callback(autocast)
            .callback(Sam::new(0.1));
        Runner::builder(net).stage(stage).build().unwrap().run().unwrap();
        assert_eq!(*kinds.borrow(), vec![kind; 4]);
    }
}

#[test]
fn every_pass_of_a_stage_climbs_with_its_own_parameters_and_loss() {
    let _exclusive = Exclusive::wait();
    let pass = |name: &str, params: &str| {
        Pass::new(name).params(params).optimizer(Sgd::new(0.1)).loss(CrossEntropy::new())
    };
    let train = |sam: bool| {
        manual_seed(1);
        let mut stage = Stage::new("train")
            .train(tiny_loader(12, 4))
            .pass(pass("bias", "*.bias"))
            .pass(pass("weight", "*.weight"));
        if sam {
            stage = stage.callback(Sam::new(0.0));
        }
        let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
        assert_eq!(runner.run().unwrap().steps, 3);
        sha256(&state_dict(runner.model().var_store())).unwrap()
    };
    assert_eq!(train(false), train(true), "a climb of no distance is the plain run");
}
