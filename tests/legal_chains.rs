//! What the contract allows and nobody thought of: each number against one by hand.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::data::Start;
use catena::tensor::rng::Exclusive;

fn stage() -> Stage {
    Stage::new("s").train(tiny_loader(12, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.5))
}

fn refused(builder: catena::RunnerBuilder) -> String {
    builder.build().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn who_replaces_the_loss_keeps_its_scale() {
    let _exclusive = Exclusive::wait();
    let weight = |replace: bool, with: fn(Stage) -> Stage| {
        let again = on(Event::Loss, move |cx| {
            if let Some(loss) = cx.loss.take() {
                cx.loss = Some(if replace { Loss::new(loss.value + 0.0, loss.weight) } else { loss });
            }
            Ok(Flow::GO)
        });
        // before and after who scales
        let stage = with(stage().callback(again));
        let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
        runner.run().unwrap();
        runner.model().var_store().variables()["fc.weight"].double_value(&[0, 0])
    };
    let scalers: [fn(Stage) -> Stage; 3] = [
        |stage| stage.callback(LossScaler::new()),
        |stage| stage.callback(Accumulate::new(3)),
        |stage| stage.callback(Accumulate::new(2)).callback(LossScaler::new().init_scale(8.0)),
    ];
    for with in scalers {
        assert_eq!(weight(true, with), weight(false, with));
    }
}

#[test]
fn a_mean_outside_of_batches_is_its_value() {
    let _exclusive = Exclusive::wait();
    for event in [Event::BatchEnd, Event::LoaderStart, Event::LoaderEnd, Event::EpochEnd] {
        let log = look(event, |cx| cx.log("x", 2.0, Reduce::Mean));
        let report =
            Runner::builder(tiny_model()).stage(stage()).callback(log).build().unwrap().run().unwrap();
        let value = report.metrics.iter().find(|(name, _)| name.ends_with('x')).map(|(_, value)| *value);
        assert_eq!(value, Some(2.0), "{event}");
    }
}

#[test]
fn an_evaluation_that_another_asks_for_runs_at_the_same_place_once() {
    let _exclusive = Exclusive::wait();
    for mutual in [false, true] {
        let ask = look(Event::LoaderEnd, move |cx| {
            match cx.loader() {
                "valid" => cx.request_evaluation("test"),
                "test" if mutual => cx.request_evaluation("valid"),
                _ => {}
            }
            Ok(())
        });
        let stage = stage().on_request("valid", tiny_loader(8, 4)).on_request("test", tiny_loader(4, 4));
        let runner = Runner::builder(tiny_model())
            .stage(stage)
            .callback(ask)
            .callback(Validate::every(Every::Steps(3)));
        let (mut runner, (told, heard)) = (runner, std::sync::mpsc::channel());
        runner = runner
            .callback(look(Event::LoaderEnd, move |cx| Ok(told.send(cx.loader().to_owned())?)).named("told"));
        runner.build().unwrap().run().unwrap();
        let loaders: Vec<String> = heard.iter().collect();
        // at the third step, which is the last batch's
        assert_eq!(loaders, ["valid", "test", "train"], "mutual {mutual}");
    }
}

#[test]
fn noise_on_integers_is_refused_with_what_to_do() {
    let _exclusive = Exclusive::wait();
    for kind in [Kind::Uint8, Kind::Int64, Kind::Bool] {
        let x = Tensor::full([4, 4], 1, (kind, Device::Cpu));
        let data = TensorLoader::new(&x, &Tensor::zeros([4], (Kind::Int64, Device::Cpu)), 4).unwrap();
        let stage = Stage::new("s").train(data).loss(CrossEntropy::new()).optimizer(Sgd::new(0.5));
        let runner = Runner::builder(tiny_model()).stage(stage).callback(GaussianNoise::new(1.0));
        let error = runner.build().unwrap().run().unwrap_err().to_string();
        assert!(
            error.contains(&format!("noise is added to floating-point numbers, but `input` is {kind:?}")),
            "{error}"
        );
    }
}

#[test]
fn names_that_collide_are_refused_at_build() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let runner = || Runner::builder(tiny_model());
    let keys = runner().stage(stage().callback(Ema::new(0.9))).callback(Ema::new(0.5).named("0/Ema"));
    assert!(refused(keys).contains("would both have the key `0/Ema`"));
    let policies = runner()
        .stage(stage())
        .run_dir(dir.path())
        .callback(Checkpoint::new())
        .callback(Checkpoint::new().named("Often"));
    assert!(refused(policies).contains("Checkpoint and Often both say which snapshots are kept"));
    let accuracy = |name: &str| Measure::new(ClassScore::accuracy(Task::Multiclass(3))).log_as(name);
    let metrics = runner().stage(stage().schedule(Exponential::new(0.9))).callback(accuracy("lr"));
    assert!(refused(metrics).contains("both log `lr`"));
    let f1 = || ClassScore::f1_score(Task::Multiclass(3)).average(Average::None);
    let parts = runner().stage(stage()).callback(Measure::new(f1()).log_as("f1")).callback(accuracy("f1/0"));
    assert!(refused(parts).contains("both log `f1/0`"));
    // of two loaders, both may
    let apart = runner()
        .stage(stage().valid(tiny_loader(4, 4)))
        .callback(accuracy("a").only("train"))
        .callback(accuracy("a").only("valid").named("other"));
    assert!(apart.build().is_ok());
    let pass = runner().stage(stage()).callback(accuracy("a").pass("mian"));
    assert!(
        refused(pass)
            .contains("it is to hear pass `mian` only, but there is none of that name; there are: main")
    );
}

#[test]
fn a_group_whose_parameters_earlier_ones_have_is_refused() {
    let _exclusive = Exclusive::wait();
    let build = |first: &str, second: &str| {
        let sgd = Sgd::new(0.5).group(ParamGroup::new(first).lr(0.0)).group(ParamGroup::new(second).lr(1.0));
        let stage = Stage::new("s").train(tiny_loader(4, 4)).loss(CrossEntropy::new()).optimizer(sgd);
        Runner::builder(tiny_model()).stage(stage).build().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(build("fc.bias", "fc.weight"), Ok(()));
    assert_eq!(build("fc.bias", "fc.*"), Ok(()), "some are left for it");
    for (first, second) in [("*", "fc.weight"), ("fc.*", "*"), ("fc.bias", "*.bias")] {
        let error = build(first, second).unwrap_err();
        assert!(
            error.contains(&format!("the group `{second}` sets nothing"))
                && error.contains(&format!("`{first}`")),
            "{error}"
        );
    }
}

#[test]
fn what_is_frozen_by_hand_stays_so_after_a_resume_and_a_stage_thaws_its_own_after_an_error() {
    let _exclusive = Exclusive::wait();
    let run = |dir: &std::path::Path, stop: u64, resume: bool| {
        let vs = nn::VarStore::new(Device::Cpu);
        let (a, b) = ((vs.root() / "head").zeros("w", &[1]), (vs.root() / "body").zeros("w", &[1]));
        let net =
            Net::from_fn(vs, move |x, _| Ok(Outputs::from((&a + &b) * x.get("input")?.mean(Kind::Float))));
        let ones = Tensor::ones([2, 1], (Kind::Float, Device::Cpu));
        let data = TensorLoader::new(&ones, &Tensor::zeros([2], (Kind::Float, Device::Cpu)), 1).unwrap();
        let loss = catena::tensor::loss::from_fn("sum", |o: &Outputs, _: &Batch| {
            Ok(o.get("output")?.sum(Kind::Float))
        });
        let freeze = on(Event::EpochStart, move |cx| {
            if cx.epoch() == 2 {
                let _ = cx.model.var_store().variables()["body.w"].set_requires_grad(false);
            }
            if cx.epoch() == stop {
                cx.interrupt("test");
            }
            Ok(Flow::GO)
        });
        let stage = Stage::new("s").epochs(4).train(data).loss(loss).optimizer(Sgd::new(1.0));
        let mut runner = Runner::builder(net)
            .stage(stage)
            .callback(freeze)
            .run_dir(dir)
            .callback(Checkpoint::new())
            .build()
            .unwrap();
        if resume { runner.resume(Resume::Latest) } else { runner.run() }.unwrap();
        let all = runner.model().var_store().variables();
        ["head.w", "body.w"].map(|name| (all[name].double_value(&[0]), all[name].requires_grad()))
    };
    let whole = tempfile::tempdir().unwrap();
    let expected = run(whole.path(), 9, false);
    assert_eq!(expected, [(-8.0, true), (-2.0, false)]);
    for stop in [2, 3, 4] {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), stop, false);
        assert_eq!(run(dir.path(), 9, true), expected, "stopped in epoch {stop}");
    }
    for fails in [false, true] {
        let net = tiny_model();
        let w = net.var_store().variables()["fc.weight"].shallow_clone();
        let end = on(Event::BatchEnd, move |_| if fails { Err("no".into()) } else { Ok(Flow::STOP_RUN) });
        let ran =
            Runner::builder(net).stage(stage().freeze("fc.weight")).callback(end).build().unwrap().run();
        assert_eq!((ran.is_err(), w.requires_grad()), (fails, true));
    }
}

/// Does not know its length.
struct Stream(TensorLoader);

impl Loader for Stream {
    fn batches(&self) -> Option<u64> {
        None
    }
    fn start(&mut self, start: Start) -> catena::Result<()> {
        self.0.start(start)
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        self.0.next_batch()
    }
}

#[test]
fn a_step_that_a_loaders_end_makes_is_a_step_for_whoever_goes_by_steps() {
    let _exclusive = Exclusive::wait();
    let run = |known: bool| {
        let dir = tempfile::tempdir().unwrap();
        let data = tiny_loader(12, 4);
        let stage = Stage::new("s")
            .epochs(2)
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.5))
            .on_request("valid", tiny_loader(4, 4));
        let stage = if known { stage.train(data) } else { stage.train(Stream(data)) };
        let (told, heard) = std::sync::mpsc::channel();
        let see = look(Event::LoaderEnd, move |cx| {
            if !cx.is_train() {
                told.send((cx.global_batch(), cx.global_step()))?;
            }
            Ok(())
        });
        Runner::builder(tiny_model())
            .stage(stage)
            .callback(Accumulate::new(2))
            .callback(Validate::every(Every::Steps(2)))
            .callback(see)
            .callback(Checkpoint::new().every(Every::Steps(2)).keep_last(9))
            .callback(Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).batches(Every::Steps(1)))
            .run_dir(dir.path())
            .build()
            .unwrap()
            .run()
            .unwrap();
        let rows = std::fs::read_to_string(dir.path().join("metrics/train.batches.csv")).unwrap();
        (heard.iter().collect::<Vec<(u64, u64)>>(), rows.lines().count())
    };
    assert_eq!(run(true).0, [(3, 2), (6, 4)]);
    assert_eq!(run(false), run(true));
}
