//! Mixed precision on the CPU: it trains, a skipped step moves nothing, and nothing is left behind.
use catena::chain::testing::{Recorder, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::Kind;
use catena::tensor::hash::sha256;
use catena::tensor::native::tensor::set_grad;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

fn train(prepare: impl FnOnce(Stage) -> Stage) -> Report {
    let stage = Stage::new("train")
        .epochs(4)
        .train(tiny_loader(24, 4).shuffle(true))
        .valid(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1));
    Runner::builder(tiny_model()).stage(prepare(stage)).build().unwrap().run().unwrap()
}

#[test]
fn bf16_and_f16_follow_f32_closely_and_keep_f32_weights_and_gradients() {
    let _exclusive = Exclusive::wait();
    let full = train(|stage| stage);
    let kinds = || {
        on(Event::Step, |cx| {
            for param in cx.optimizer_mut()?.params() {
                assert_eq!((param.kind(), param.grad().kind()), (Kind::Float, Kind::Float));
            }
            Ok(Flow::GO)
        })
        .in_phase(Phase::Clip)
    };
    let half = [
        train(|stage| stage.callback(Autocast::bf16()).callback(kinds())),
        train(|stage| stage.callback(Autocast::f16()).callback(LossScaler::new()).callback(kinds())),
    ];
    for report in half {
        for name in ["train/loss", "valid/loss"] {
            let (half, full) = (report.metrics[name], full.metrics[name]);
            assert!(half != full && (half - full).abs() < 0.01, "{name}: {half} and {full}");
        }
        assert_eq!(report.steps, 24);
    }
}

#[test]
fn a_power_of_two_as_loss_scale_changes_no_bit() {
    let _exclusive = Exclusive::wait();
    let plain = train(|stage| stage);
    let scaled = train(|stage| stage.callback(LossScaler::new().init_scale(1024.0)));
    assert_eq!(plain.metrics["train/loss"], scaled.metrics["train/loss"]);
    assert_eq!(plain.metrics["valid/loss"], scaled.metrics["valid/loss"]);
}

#[test]
fn a_step_that_the_scaler_skips_moves_no_schedule_and_no_average() {
    let _exclusive = Exclusive::wait();
    let (_, record) = Recorder::new();
    let note = {
        let record = record.clone();
        on(Event::BatchEnd, move |cx| {
            let lr = cx.optimizer().map(Optimizer::lr);
            record.add(format!("{} {:.3}", cx.outcome(), lr.unwrap()));
            Ok(Flow::GO)
        })
        .only(Mode::Train)
    };
    let spoil = on(Event::Backward, |cx| {
        if cx.global_batch() == 2 {
            let bias = cx.model.var_store().variables()["fc.bias"].shallow_clone();
            set_grad(&bias, Some(&(bias.grad() * f64::INFINITY)))?;
        }
        Ok(Flow::GO)
    });
    let stage = Stage::new("train")
        .train(tiny_loader(12, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.3))
        .schedule(
            OneCycle::new(0.3, 3)
                .cycle_momentum(false)
                .pct_start(1.0)
                .anneal_strategy(AnnealStrategy::Linear),
        )
        .callback(LossScaler::new().init_scale(4.0))
        .callback(Ema::new(0.5))
        .callback(spoil)
        .callback(note);
    let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
    let report = runner.run().unwrap();
    assert_eq!(report.steps, 2);
    assert_eq!(record.events(), ["stepped 0.156", "skipped by the loss scaler 0.156", "stepped 0.300"]);
    assert_eq!(report.metrics["train/loss_scale"], 2.0, "and the scale shrank");
    let ema = runner.driver().chain().members().iter().find(|m| m.name() == "Ema").unwrap();
    assert_eq!(ema.callback().state().json[0], 2);
}

#[test]
fn in_half_precision_steps_that_overflow_are_skipped_until_the_scale_fits_and_move_nothing() {
    let _exclusive = Exclusive::wait();
    // f16 ends at 65504, bf16 where f32 does
    for (autocast, scale) in [(Autocast::f16(), 2f64.powi(20)), (Autocast::bf16(), 2f64.powi(128))] {
        let (_, record) = Recorder::new();
        let note = {
            let record = record.clone();
            let mut before = sha256(&state_dict(tiny_model().var_store())).unwrap();
            on(Event::BatchEnd, move |cx| {
                let after = sha256(&state_dict(cx.model.var_store()))?;
                let moved = std::mem::replace(&mut before, after) != before;
                let optimizer = cx.optimizer().unwrap();
                record.add(format!("{}, moved {moved}, step {}", cx.outcome(), optimizer.steps()));
                assert_eq!(optimizer.lr(), 0.1 * 0.5f64.powi(optimizer.steps() as i32));
                Ok(Flow::GO)
            })
        };
        let stage = Stage::new("train")
            .train(tiny_loader(24, 4))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.1))
            .schedule(Exponential::new(0.5))
            .callback(autocast)
            .callback(LossScaler::new().init_scale(scale))
            .callback(Ema::new(0.5))
            .callback(Swa::new(1).every_steps(1))
            .callback(note);
        let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
        let steps = runner.run().unwrap().steps;
        assert!((1..6).contains(&steps), "{steps} steps at a first scale of {scale}");
        let skipped = (steps..6).map(|_| "skipped by the loss scaler, moved false, step 0".to_owned());
        let made = (1..=steps).map(|step| format!("stepped, moved true, step {step}"));
        assert_eq!(record.events(), skipped.chain(made).collect::<Vec<_>>());
        for average in ["Ema", "Swa"] {
            let members = runner.driver().chain().members();
            let member = members.iter().find(|member| member.name() == average).unwrap();
            assert_eq!(member.callback().state().json[0], steps, "{average}");
        }
    }
}

#[test]
fn autocast_ends_with_its_batch_whatever_happens_to_it() {
    let _exclusive = Exclusive::wait();
    let product = || {
        let x = catena::tch::Tensor::ones([2, 2], (Kind::Float, catena::tch::Device::Cpu));
        x.matmul(&x).kind()
    };
    let check = on(Event::BatchEnd, move |_| {
        assert_eq!(product(), Kind::Float);
        Ok(Flow::GO)
    });
    train(|stage| {
        stage
            .callback(Autocast::bf16())
            .callback(check)
            .callback(on(Event::Forward, |_| Ok(Flow::SKIP_BATCH)))
    });
    let fail = on(Event::Loss, |_| Err("no luck".into()));
    let stage =
        Stage::new("train").train(tiny_loader(4, 2)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let mut runner =
        Runner::builder(tiny_model()).stage(stage.callback(Autocast::bf16()).callback(fail)).build().unwrap();
    runner.run().unwrap_err();
    assert_eq!(product(), Kind::Float);
}
