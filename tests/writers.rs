//! Two callbacks that move one setting: they work together, or the build refuses them.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{Only, Role};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

fn stage() -> Stage {
    Stage::new("s")
        .epochs(3)
        .train(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(1.0).momentum(0.5))
}

/// The rate of each step of a run in which the metric `flat` never gets better.
fn rates(stage: Stage, plateau: Option<ReduceLrOnPlateau>) -> Vec<f64> {
    let (told, rates) = std::sync::mpsc::channel();
    let flat = look(Event::EpochEnd, |cx| cx.log("flat", 1.0, Reduce::Last)).in_phase(Phase::Measure);
    let see = look(Event::BatchEnd, move |cx| Ok(told.send(cx.lr().unwrap_or(f64::NAN))?));
    let mut builder = Runner::builder(tiny_model()).stage(stage).callback(flat).callback(see);
    if let Some(plateau) = plateau {
        builder = builder.callback(plateau);
    }
    let mut runner = builder.build().unwrap();
    runner.run().unwrap();
    drop(runner);
    rates.iter().collect()
}

#[test]
fn a_plateau_multiplies_what_a_schedule_sets() {
    let _exclusive = Exclusive::wait();
    let plateau = || Some(ReduceLrOnPlateau::new("flat", Plateau::new().patience(0).factor(0.5)));
    let constant = rates(stage().schedule(Constant::new(1.0, 0)), plateau());
    assert_eq!(constant, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5]);
    let linear = || stage().schedule(Polynomial::new().total_iters(10));
    let (alone, both) = (rates(linear(), None), rates(linear(), plateau()));
    let expected: Vec<f64> =
        alone.iter().enumerate().map(|(i, lr)| if i < 6 { *lr } else { lr * 0.5 }).collect();
    assert_eq!(both, expected);
    let by_epoch = stage().callback(LrSchedule::new(Exponential::new(0.5)).by_epoch());
    assert_eq!(rates(by_epoch, plateau()), [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.125, 0.125, 0.125]);
    assert_eq!(rates(stage(), plateau()), constant, "and with no schedule the rate itself");
}

#[test]
fn two_that_set_one_setting_of_one_group_are_refused_with_both_names() {
    let half = || LrSchedule::new(Exponential::new(0.5));
    let refused = |stage: Stage| {
        Runner::builder(tiny_model()).stage(stage).build().map(|_| ()).map_err(|error| error.to_string())
    };
    for (stage, first, second) in [
        (stage().schedule(Exponential::new(0.9)).callback(half().named("another")), "another", "LrSchedule"),
        (stage().schedule(Exponential::new(0.9)).callback(LrFinder::new()), "LrFinder", "LrSchedule"),
        (stage().callback(half()).callback(half().group("*.bias")), "LrSchedule", "LrSchedule(lr of *.bias)"),
        (
            stage().schedule(OneCycle::new(0.5, 10)).callback(half().of("momentum")),
            "LrSchedule(momentum)",
            "LrSchedule",
        ),
    ] {
        let text = refused(stage).unwrap_err();
        let expected = format!("{first} and {second} both move");
        assert!(text.contains(&expected), "{text}");
    }
    let biases = || Sgd::new(1.0).group(ParamGroup::new("*.bias")).group(ParamGroup::new("*.weight"));
    let apart =
        stage().optimizer(biases()).callback(half().group("*.bias")).callback(half().group("*.weight"));
    assert_eq!(refused(apart), Ok(()));
    assert_eq!(refused(stage().callback(half()).callback(half().of("weight_decay"))), Ok(()));
    // each in a stage of its own
    let in_stage = |name: &str| half().only(Only::Stage(name.into())).named(format!("in {name}"));
    let two = Runner::builder(tiny_model()).stage(stage());
    let other = Stage::new("t").train(tiny_loader(4, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    assert!(two.stage(other).callback(in_stage("s")).callback(in_stage("t")).build().is_ok());
}

#[test]
fn a_callback_that_only_looks_can_not_stop_or_skip_and_one_that_says_nothing_acts() {
    struct Sly;
    impl Callback for Sly {
        fn about(&self) -> About {
            About::of::<Self>().looks()
        }
        fn state(&self) -> State {
            State::none()
        }
        fn on_batch_end(&mut self, _: &mut Context) -> catena::chain::Result<Flow> {
            Ok(Flow::STOP_EPOCH)
        }
    }
    struct Plain;
    impl Callback for Plain {
        fn state(&self) -> State {
            State::none()
        }
    }
    let _exclusive = Exclusive::wait();
    let mut runner = Runner::builder(tiny_model()).stage(stage()).callback(Sly).build().unwrap();
    let text = runner.run().unwrap_err().to_string();
    assert!(
        text.starts_with("Sly skips or stops at batch_end") && text.contains("declares that it only looks"),
        "{text}"
    );
    assert!(Plain.about().acts() && on(Event::Step, |_| Ok(Flow::GO)).about().acts());
    assert!(!look(Event::Step, |_| Ok(())).about().acts());
}

#[test]
fn a_criterion_of_any_name_given_to_the_runner_or_the_stage_is_the_stages() {
    let _exclusive = Exclusive::wait();
    let bare = || Stage::new("s").train(tiny_loader(12, 4)).optimizer(Sgd::new(0.1));
    let own = || {
        let loss = on(Event::Loss, |cx| {
            let value = cx.outputs.get("output")?.cross_entropy_for_logits(cx.batch.get("target")?);
            cx.loss = Some(catena::tensor::loss::Loss::new(value, cx.batch.weight));
            Ok(Flow::GO)
        });
        loss.named("mine").in_phase(Phase::Loss).in_role(Role::Criterion)
    };
    let steps = |builder: catena::RunnerBuilder| builder.build().unwrap().run().unwrap().steps;
    assert_eq!(steps(Runner::builder(tiny_model()).stage(bare().callback(own()))), 3);
    assert_eq!(steps(Runner::builder(tiny_model()).stage(bare()).callback(own())), 3);
    let none = Runner::builder(tiny_model()).stage(bare()).build().unwrap_err().to_string();
    assert_eq!(none, "stage `s`: pass `main` has no loss; add one with `.loss(…)`");
}
