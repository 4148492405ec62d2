//! Averages of the weights against PyTorch (`fixtures/make_swa.py` made the numbers), and that they leave the training alone.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use catena::callbacks::averaged;
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::{Exclusive, manual_seed};
use proptest::prelude::*;
use serde::Deserialize;

type Numbers = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct Fixture {
    x: Vec<Vec<f64>>,
    y: Vec<i64>,
    batch_size: u64,
    params: BTreeMap<String, Start>,
    cases: Vec<Case>,
    ema: Vec<EmaCase>,
}

#[derive(Deserialize)]
struct Start {
    shape: Vec<i64>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    start_epoch: u64,
    every_steps: Option<u64>,
    use_buffers: bool,
    momentum: f64,
    own: Numbers,
    average: Numbers,
    refreshed: Numbers,
}

#[derive(Deserialize)]
struct EmaCase {
    decay: f64,
    by_epoch: bool,
    average: Numbers,
}

impl Case {
    fn swa(&self) -> Swa {
        let swa = Swa::new(self.start_epoch);
        let swa = self.every_steps.map_or(Swa::new(self.start_epoch), |steps| swa.every_steps(steps));
        if self.use_buffers { swa.use_buffers() } else { swa }
    }
}

impl Fixture {
    fn read() -> Self {
        serde_json::from_str(include_str!("fixtures/swa.json")).unwrap()
    }

    fn model(&self, momentum: f64) -> Net {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let without_bias = nn::LinearConfig { bias: false, ..Default::default() };
        let norm = nn::BatchNormConfig { momentum, ..Default::default() };
        let layers = nn::seq_t()
            .add(nn::linear(&root / "fc1", 4, 6, without_bias))
            .add(nn::batch_norm1d(&root / "bn1", 6, norm))
            .add_fn(|x| x.tanh())
            .add(nn::linear(&root / "fc2", 6, 5, Default::default()))
            .add(nn::batch_norm1d(&root / "bn2", 5, norm))
            .add(nn::linear(&root / "fc3", 5, 3, Default::default()));
        vs.double();
        for (name, mut tensor) in vs.variables() {
            let Start { shape, data } = &self.params[&name];
            catena::tch::no_grad(|| tensor.copy_(&Tensor::from_slice(data).view(shape.as_slice())));
        }
        Net::new(vs, layers)
    }

    fn loader(&self) -> TensorLoader {
        let x = Tensor::from_slice(&self.x.concat()).view([-1, 4]);
        TensorLoader::new(&x, &Tensor::from_slice(&self.y), self.batch_size).unwrap()
    }

    fn train(&self, momentum: f64, callback: impl Callback + 'static) -> Runner {
        let schedule = SwaLr::new(0.1).anneal_epochs(2).after(Exponential::new(0.8), 2);
        let stage = Stage::new("train")
            .epochs(6)
            .train(self.loader())
            .on_request("statistics", self.loader())
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.3).momentum(0.9))
            .callback(LrSchedule::new(schedule).by_epoch())
            .callback(callback);
        let mut runner = Runner::builder(self.model(momentum)).stage(stage).build().unwrap();
        runner.run().unwrap();
        runner
    }
}

fn assert_close(case: &str, got: &[(String, Tensor)], expected: &Numbers, tolerance: impl Fn(&str) -> f64) {
    assert_eq!(got.len(), expected.len());
    for (name, tensor) in got {
        let (got, expected) = (Vec::<f64>::try_from(tensor.flatten(0, -1)).unwrap(), &expected[name]);
        let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
        for (got, expected) in got.iter().zip(expected) {
            let allowed = tolerance(name) * largest;
            assert!((got - expected).abs() <= allowed, "{case}: {name} is {got}, torch has {expected}");
        }
    }
}

fn own(runner: &Runner) -> Vec<(String, Tensor)> {
    state_dict(runner.model().var_store())
}

#[test]
fn the_mean_and_batch_norms_statistics_are_pytorchs() {
    let _exclusive = Exclusive::wait();
    let fixture = Fixture::read();
    for case in &fixture.cases {
        let exact = |_: &str| 1e-12;
        let runner = fixture.train(case.momentum, case.swa());
        assert_close(&case.name, &own(&runner), &case.own, exact);
        let average = averaged(runner.driver().chain(), "Swa").unwrap();
        assert_close(&case.name, &average, &case.average, exact);

        let refreshed = |name: &str| if name.contains("running") { 1e-10 } else { 1e-12 };
        let runner = fixture.train(case.momentum, case.swa().update_bn("statistics"));
        assert_close(&case.name, &own(&runner), &case.own, exact);
        let average = averaged(runner.driver().chain(), "Swa").unwrap();
        assert_close(&case.name, &average, &case.refreshed, refreshed);

        let runner = fixture.train(case.momentum, case.swa().update_bn("statistics").replace());
        assert_close(&case.name, &own(&runner), &case.refreshed, refreshed);
    }
    assert_eq!(fixture.cases.len(), 4);
}

#[test]
fn the_moving_average_is_pytorchs_by_step_and_by_epoch() {
    let _exclusive = Exclusive::wait();
    let fixture = Fixture::read();
    for case in &fixture.ema {
        let ema = Ema::new(case.decay);
        let runner = fixture.train(0.1, if case.by_epoch { ema.by_epoch() } else { ema });
        let average = averaged(runner.driver().chain(), "Ema").unwrap();
        assert_close("ema", &average, &case.average, |_| 1e-12);
    }
    assert_eq!(fixture.ema.len(), 2);
}

/// A model with dropout and batch norm.
fn model() -> Net {
    manual_seed(3);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let layers = nn::seq_t()
        .add(nn::linear(&root / "fc1", 4, 8, Default::default()))
        .add(nn::batch_norm1d(&root / "bn", 8, Default::default()))
        .add_fn_t(|x, train| x.relu().dropout(0.3, train))
        .add(nn::linear(&root / "fc2", 8, 3, Default::default()));
    Net::new(vs, layers)
}

/// The hash of the model's variables and buffers at every batch's safe point, evaluations at that safe point excluded.
fn hashes(n: u64, epochs: u64, evaluate_every: u64, averages: impl FnOnce(Stage) -> Stage) -> Vec<String> {
    let record = Rc::new(RefCell::new(Vec::new()));
    let (hashes, mut batch) = (record.clone(), 0);
    // the first thing that the next batch hears is what a snapshot at the last safe point would have held
    let at_cuts = move |cx: &Context| -> catena::chain::Result<()> {
        hashes.borrow_mut().push(sha256(&state_dict(cx.model.var_store()))?);
        Ok(())
    };
    let at_end = at_cuts.clone();
    let stage = Stage::new("train")
        .epochs(epochs)
        .train(tiny_loader(23, 4).shuffle(true))
        .valid(tiny_loader(6, 3))
        .on_request("asked", tiny_loader(5, 5))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(3e-2))
        .callback(Accumulate::new(n))
        .callback(
            on(Event::BatchEnd, move |cx| {
                batch += 1;
                if cx.is_train() && batch % evaluate_every == 0 {
                    cx.request_evaluation("asked");
                }
                Ok(Flow::GO)
            })
            .only(Mode::Train),
        )
        .callback(
            on(Event::BatchStart, move |cx| at_cuts(cx).map(|()| Flow::GO))
                .in_phase(Phase::Input)
                .only(Mode::Train),
        )
        .callback(on(Event::StageEnd, move |cx| at_end(cx).map(|()| Flow::GO)));
    Runner::builder(model()).seed(5).stage(averages(stage)).build().unwrap().run().unwrap();
    record.take()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn an_average_is_in_no_snapshots_model(
        n in 1u64..5,
        epochs in 1u64..4,
        evaluate_every in 1u64..9,
        decay in 0.0..0.999f64,
        by_epoch: bool,
        start in 1u64..3,
        steps in prop::option::of(1u64..5),
    ) {
        let _exclusive = Exclusive::wait();
        let plain = hashes(n, epochs, evaluate_every, |stage| stage);
        prop_assert_eq!(plain.len() as u64, 6 * epochs + 1);
        let ema = if by_epoch { Ema::new(decay).by_epoch() } else { Ema::new(decay).warm_up() };
        let swa = Swa::new(start).update_bn("asked");
        let swa = steps.map_or(Swa::new(start).update_bn("asked"), |steps| swa.every_steps(steps));
        prop_assert_eq!(&plain, &hashes(n, epochs, evaluate_every, |stage| stage.callback(ema)));
        prop_assert_eq!(&plain, &hashes(n, epochs, evaluate_every, |stage| stage.callback(swa)));
    }
}

/// The bytes of each snapshot's model, by the snapshot's name.
fn models_on_disk(averages: impl FnOnce(Stage) -> Stage) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new("train")
        .epochs(3)
        .train(tiny_loader(23, 4).shuffle(true))
        .valid(tiny_loader(6, 3))
        .on_request("asked", tiny_loader(5, 5))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(3e-2))
        .callback(Validate::every(Every::Batches(2)).loader("asked"));
    let checkpoint = Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1);
    Runner::builder(model())
        .seed(5)
        .stage(averages(stage))
        .callback(checkpoint)
        .run_dir(dir.path())
        .build()
        .unwrap()
        .run()
        .unwrap();
    let snapshots =
        std::fs::read_dir(dir.path().join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let models = snapshots.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, std::fs::read(path.join("model.safetensors")).ok()?))
    });
    models.collect()
}

#[test]
fn the_model_in_a_snapshots_files_is_the_same_with_and_without_an_average() {
    let _exclusive = Exclusive::wait();
    let plain = models_on_disk(|stage| stage);
    assert!(plain.len() >= 18, "a snapshot at each of the 18 batches: {}", plain.len());
    assert_eq!(plain, models_on_disk(|stage| stage.callback(Ema::new(0.9))));
    assert_eq!(plain, models_on_disk(|stage| stage.callback(Swa::new(1).update_bn("asked"))));
}

#[test]
fn evaluations_see_the_mean_and_a_later_stage_begins_a_new_one() {
    let _exclusive = Exclusive::wait();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = {
        let seen = seen.clone();
        on(Event::LoaderStart, move |cx| {
            if !cx.is_train() {
                let weight = cx.model.var_store().variables()["fc.weight"].sum(Kind::Double);
                seen.borrow_mut().push((cx.stage().to_owned(), weight.double_value(&[])));
            }
            Ok(Flow::GO)
        })
    };
    // each step adds the number of the batch to one weight
    let step = on(Event::Step, |cx| {
        let weight = cx.model.var_store().variables()["fc.weight"].shallow_clone();
        let _moved = weight.detach().get(0).get(0).g_add_scalar_(cx.global_batch() as f64);
        cx.mark_stepped();
        Ok(Flow::GO)
    })
    .in_phase(Phase::Optimize);
    let stage =
        |name: &str| Stage::new(name).epochs(3).bare().train(tiny_loader(1, 1)).valid(tiny_loader(1, 1));
    let mut runner = Runner::builder(tiny_model())
        .stage(stage("a"))
        .stage(stage("b"))
        .callback(step)
        .callback(Swa::new(2))
        .callback(note)
        .build()
        .unwrap();
    runner.run().unwrap();
    // twelve weights of 0.1, and 1, 3, 6, 10, 15, 21 after the six steps
    let expected = [("a", 1.0), ("a", 3.0), ("a", 4.5), ("b", 10.0), ("b", 15.0), ("b", 18.0)]
        .map(|(s, x)| (s, x + 1.2));
    for ((stage, weight), (expected_stage, expected)) in seen.borrow().iter().zip(expected) {
        assert_eq!(stage, expected_stage);
        assert!((weight - expected).abs() < 1e-5, "{stage}: {weight} and {expected}");
    }
    assert_eq!(seen.borrow().len(), 6);
}

#[test]
fn a_moving_average_of_the_run_goes_on_in_the_next_stage_and_one_of_a_stage_begins_there() {
    let _exclusive = Exclusive::wait();
    let stage = |name: &str| {
        Stage::new(name).train(tiny_loader(12, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
    };
    let mut runner = Runner::builder(tiny_model())
        .stage(stage("a"))
        .stage(stage("b").callback(Ema::new(0.9).named("of b")))
        .callback(Ema::new(0.9))
        .build()
        .unwrap();
    runner.run().unwrap();
    let updates = |name: &str| {
        let members = runner.driver().chain().members();
        let member = members.iter().find(|member| member.name() == name).unwrap();
        member.callback().state().json[0].clone()
    };
    assert_eq!((updates("Ema"), updates("of b")), (6.into(), 3.into()));
}

#[test]
fn after_a_run_a_call_can_see_the_model_whose_metrics_were_reported() {
    let _exclusive = Exclusive::wait();
    let of_stage = |stage: Stage| stage.callback(Ema::new(0.8));
    let swa = |stage: Stage| stage.callback(Swa::new(2));
    let both = |stage: Stage| stage.callback(Swa::new(2)).callback(Ema::new(0.8));
    let none = |stage: Stage| stage;
    type Averages = fn(Stage) -> Stage;
    let all: [(&str, Averages); 4] = [("Ema", of_stage), ("Swa", swa), ("both", both), ("none", none)];
    for (name, averages) in all {
        let stage = Stage::new("train")
            .epochs(3)
            .train(tiny_loader(24, 4))
            .valid(tiny_loader(12, 12))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.5));
        let mut runner = Runner::builder(model()).stage(averages(stage)).build().unwrap();
        let report = runner.run().unwrap();
        let mut batches = tiny_loader(12, 12);
        batches.start(catena::tensor::data::Start { epoch: 1, ..Default::default() }).unwrap();
        let batch = batches.next_batch().unwrap().unwrap();
        let loss = |model: &mut dyn Model| {
            let outputs = model.forward(&batch, Mode::Eval).unwrap();
            CrossEntropy::new().loss(&outputs, &batch).unwrap().value.double_value(&[])
        };
        let own = own(&runner);
        let averaged = runner.with_averages(loss).unwrap();
        assert_eq!(averaged, report.metrics["valid/loss"], "{name}");
        assert_eq!(loss(runner.model_mut()) == averaged, name == "none", "{name}");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let panics = |_: &mut dyn Model| -> f64 { panic!("it is a test") };
            drop(runner.with_averages(panics))
        }));
        assert!(panicked.is_err());
        for ((name, before), (_, now)) in own.iter().zip(self::own(&runner)) {
            assert!(before.equal(&now), "{name}");
        }
        assert_eq!(runner.with_averages(loss).unwrap(), averaged, "{name}: again");
    }
}

#[test]
fn a_loader_for_statistics_that_the_stage_lacks_is_an_error_at_its_start() {
    let _exclusive = Exclusive::wait();
    let stage = Stage::new("train")
        .train(tiny_loader(4, 4))
        .valid(tiny_loader(4, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
        .callback(Swa::new(1).update_bn("train"));
    let error = Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the stage's Eval loaders are: valid; add one with `.on_request(…)`"), "{text}");
}
