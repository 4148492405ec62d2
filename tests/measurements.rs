//! What decides by a metric: each measurement is looked at once, and each stage begins anew.
use std::sync::{Arc, Mutex};

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{Every, Watch};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

fn stage(name: &str, epochs: u64) -> Stage {
    Stage::new(name.to_owned())
        .epochs(epochs)
        .train(tiny_loader(4, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
}

/// Logs a number at each epoch's end.
fn logs(name: &'static str, value: impl Fn(&Context) -> Option<f64> + 'static) -> impl Callback {
    let log = look(Event::EpochEnd, move |cx| match value(cx) {
        Some(value) => cx.log(name, value, Reduce::Last),
        None => Ok(()),
    });
    log.named("log").in_phase(Phase::Measure)
}

fn epochs(builder: catena::RunnerBuilder) -> u64 {
    builder.build().unwrap().run().unwrap().epochs
}

#[test]
fn an_old_value_is_not_looked_at_again() {
    let _exclusive = Exclusive::wait();
    // measured in epochs 1 and 4 only, better each time
    let rare = || logs("m", |cx| (cx.epoch() % 3 == 1).then(|| 10.0 - cx.epoch() as f64));
    let runner = || Runner::builder(tiny_model()).stage(stage("s", 5)).callback(rare());
    assert_eq!(epochs(runner().callback(EarlyStopping::new("m").patience(2))), 5);
    let plateau = ReduceLrOnPlateau::new("m", Plateau::new().patience(0).factor(0.5));
    let mut runner = runner().callback(plateau).build().unwrap();
    let lr = runner.run().map(|_| runner.driver().context().optimizers.get("main").unwrap().lr()).unwrap();
    assert_eq!(lr, 0.1);
}

#[test]
fn rare_validation_of_every_kind_counts_once() {
    let _exclusive = Exclusive::wait();
    // a rate of 0 never gets better: the second measurement is the first bad one
    let runner = |every: Every, patience: u64| {
        let stage = Stage::new("s").epochs(9).train(tiny_loader(8, 4)).on_request("valid", tiny_loader(4, 4));
        let stage = stage.loss(CrossEntropy::new()).optimizer(Sgd::new(0.0));
        Runner::builder(tiny_model())
            .stage(stage)
            .callback(Validate::every(every))
            .callback(EarlyStopping::new("valid/loss").patience(patience))
    };
    // every second epoch: measured after 2, 4, 6
    assert_eq!(epochs(runner(Every::Epochs(2), 2)), 6);
    // every batch: measured after batches 1, 2 | 3, 4 of two an epoch
    let report = runner(Every::Batches(1), 2).build().unwrap().run().unwrap();
    assert_eq!((report.batches, report.epochs), (3, 2), "it stops after the batch whose evaluation it is");
    let report = runner(Every::Batches(3), 1).build().unwrap().run().unwrap();
    assert_eq!(report.batches, 6);
}

#[test]
fn a_watch_gives_a_value_of_mid_epoch_and_the_epochs_own_and_none_before_its_stage() {
    struct See(Watch, Arc<Mutex<Vec<(u64, f64)>>>);
    impl See {
        fn look(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
            if let Some(value) = self.0.measured("valid/n", cx)? {
                self.1.lock().unwrap().push((cx.global_batch(), value));
            }
            Ok(Flow::GO)
        }
    }
    impl Callback for See {
        fn about(&self) -> About {
            About::new::<Self>(Phase::Decide, Watch::EVENTS).looks()
        }
        fn state(&self) -> State {
            State::none()
        }
        fn on_stage_start(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
            self.0.begin("valid/n", cx);
            Ok(Flow::GO)
        }
        fn on_loader_end(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
            self.look(cx)
        }
        fn on_epoch_end(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
            self.look(cx)
        }
    }
    let _exclusive = Exclusive::wait();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let count = look(Event::Forward, |cx| match cx.loader() {
        "valid" => {
            let n = cx.global_batch() as f64;
            cx.log("n", n, Reduce::Last)
        }
        _ => Ok(()),
    });
    let first = stage("first", 2).valid(tiny_loader(4, 4));
    let second =
        Stage::new("second").epochs(2).train(tiny_loader(8, 4)).on_request("valid", tiny_loader(4, 4));
    let second = second.loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let runner = Runner::builder(tiny_model()).stage(first).stage(second).callback(count);
    let runner = runner.callback(See(Watch::default(), seen.clone()));
    let ask = look(Event::BatchEnd, |cx| {
        if cx.is_train() && cx.stage() == "second" && cx.global_batch() == 5 {
            cx.request_evaluation("valid");
        }
        Ok(())
    });
    runner.callback(ask).build().unwrap().run().unwrap();
    assert_eq!(*seen.lock().unwrap(), [(1, 1.0), (2, 2.0), (5, 5.0)]);
}

#[test]
fn each_stage_begins_with_its_own_patience_best_and_triggers() {
    let _exclusive = Exclusive::wait();
    // worse and worse; then better and better
    let runner = || {
        let value = |cx: &Context| {
            let epoch = cx.epoch() as f64;
            Some(if cx.stage_index() == 0 { epoch } else { 100.0 - epoch })
        };
        Runner::builder(tiny_model()).stage(stage("a", 6)).stage(stage("b", 6)).callback(logs("m", value))
    };
    assert_eq!(epochs(runner().callback(EarlyStopping::new("m").patience(2))), 3 + 6);
    assert_eq!(epochs(runner().callback(EarlyStopping::new("m").patience(2).across_stages())), 3 + 1);
    let lr = |plateau: ReduceLrOnPlateau| {
        let mut runner = runner().callback(plateau).build().unwrap();
        runner.run().unwrap();
        runner.driver().context().optimizers.get("main").unwrap().lr()
    };
    let plateau = || ReduceLrOnPlateau::new("m", Plateau::new().patience(3).factor(0.5));
    assert_eq!(lr(plateau()), 0.1, "the second stage gets better all the time");
    assert!(lr(plateau().across_stages()) < 0.1, "100 is worse than what the first stage had");
}

#[test]
fn a_callback_of_ones_own_begins_anew_where_it_says_so() {
    struct Count(u64, Lifetime, Arc<Mutex<Vec<u64>>>);
    impl Callback for Count {
        fn about(&self) -> About {
            About::of::<Self>().hears([Event::StageEnd, Event::BatchEnd]).looks().lifetime(self.1)
        }
        fn state(&self) -> State {
            State::of(&self.0).unwrap_or_default()
        }
        fn load_state(&mut self, state: State) -> catena::chain::Result<()> {
            self.0 = state.read()?;
            Ok(())
        }
        fn on_batch_end(&mut self, _: &mut Context) -> catena::chain::Result<Flow> {
            self.0 += 1;
            Ok(Flow::GO)
        }
        fn on_stage_end(&mut self, _: &mut Context) -> catena::chain::Result<Flow> {
            self.2.lock().unwrap().push(self.0);
            Ok(Flow::GO)
        }
    }
    let _exclusive = Exclusive::wait();
    for (lifetime, expected) in [(Lifetime::Stage, [2, 3]), (Lifetime::Run, [2, 5])] {
        let counts = Arc::new(Mutex::new(Vec::new()));
        let runner = Runner::builder(tiny_model()).stage(stage("a", 2)).stage(stage("b", 3));
        runner.callback(Count(0, lifetime, counts.clone())).build().unwrap().run().unwrap();
        assert_eq!(*counts.lock().unwrap(), expected);
    }
}
