//! Every row of the table on `Flow`.
use catena::chain::Error as ChainError;
use catena::chain::testing::{Recorder, Recording, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

/// Two epochs of four train batches and two valid batches, then a second stage of one batch, with windows of two.
struct Try {
    record: Recording,
    result: catena::Result<Report, catena::Error>,
    runner: Runner,
}

/// Answers once, at the first event of this kind that the condition holds for.
fn once(event: Event, flow: Flow, when: impl Fn(&Context) -> bool + 'static) -> impl Callback {
    let mut done = false;
    on(event, move |cx| {
        if done || !when(cx) {
            return Ok(Flow::GO);
        }
        done = true;
        Ok(flow)
    })
    .named("asker")
}

fn attempt(asker: impl Callback + 'static) -> Try {
    attempt_with(asker, Accumulate::new(2))
}

fn attempt_with(asker: impl Callback + 'static, accumulate: Accumulate) -> Try {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = Recorder::new();
    let outcome = {
        let record = record.clone();
        on(Event::BatchEnd, move |cx| {
            if cx.is_train() {
                record.add(format!("= {}", cx.outcome()));
            }
            Ok(Flow::GO)
        })
        .named("outcome")
    };
    let cut = |event: Event| {
        let record = record.clone();
        on(event, move |cx| {
            if cx.cut_short() {
                record.add("cut short");
            }
            Ok(Flow::GO)
        })
        .named(format!("cut at {event}"))
        .in_phase(Phase::Report)
    };
    let main = Stage::new("main")
        .epochs(2)
        .train(tiny_loader(8, 2))
        .valid(tiny_loader(4, 2))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
        .callback(accumulate);
    let second =
        Stage::new("second").train(tiny_loader(2, 2)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let mut runner = Runner::builder(tiny_model())
        .stage(main)
        .stage(second)
        .callback(recorder.with_place())
        .callback(outcome)
        .callback(asker)
        .callback(cut(Event::LoaderEnd))
        .callback(cut(Event::EpochEnd))
        .callback(cut(Event::StageEnd))
        .callback(cut(Event::RunEnd))
        .build()
        .unwrap();
    let result = runner.run();
    Try { record, result, runner }
}

impl Try {
    /// The events of the train batch of this number in the first epoch, with its outcome.
    fn batch(&self, number: u64) -> String {
        let events = self.record.events();
        let begin = events.iter().position(|e| *e == format!("batch_start train {number}")).unwrap();
        let end = begin + events[begin..].iter().position(|e| e.starts_with("batch_end")).unwrap();
        let names: Vec<&str> = events[begin..=end]
            .iter()
            .map(|e| match e.strip_prefix('=') {
                Some(_) => e.as_str(),
                None => e.split(' ').next().unwrap(),
            })
            .collect();
        names.join(" ")
    }

    /// Scopes only: `start`s and `end`s of loader, epoch, stage and run, and what was cut short.
    fn scopes(&self) -> String {
        let scope =
            |e: &&String| !["batch", "forw", "loss", "back", "step", "="].iter().any(|b| e.starts_with(b));
        let short = |e: &String| {
            e.replace("loader_start ", "<")
                .replace("loader_end ", "")
                .replace("epoch_start", "E<")
                .replace("epoch_end", ">E")
                .replace("stage_start", "S<")
                .replace("stage_end", ">S")
                .replace("run_start", "R<")
                .replace("run_end", ">R")
        };
        self.record.events().iter().filter(scope).map(short).collect::<Vec<_>>().join(" ")
    }

    fn report(&self) -> &Report {
        self.result.as_ref().unwrap()
    }
}

const EPOCH: &str = "E< <train train <valid valid >E";
const SECOND: &str = "S< E< <train train >E >S >R";

#[test]
fn without_a_flow_everything_runs() {
    let t = attempt(once(Event::Loss, Flow::GO, |_| true));
    assert_eq!(t.scopes(), format!("R< S< {EPOCH} {EPOCH} >S {SECOND}"));
    assert_eq!(t.batch(1), "batch_start forward loss backward = accumulating batch_end");
    assert_eq!(t.batch(2), "batch_start forward loss backward step = stepped batch_end");
    assert_eq!((t.report().batches, t.report().steps), (9, 5));
}

#[test]
fn skip_step_at_any_event_before_the_optimizer_drops_the_window() {
    for (event, events) in [
        (Event::BatchStart, "batch_start"),
        (Event::Forward, "batch_start forward"),
        (Event::Loss, "batch_start forward loss"),
        (Event::Backward, "batch_start forward loss backward"),
    ] {
        let t = attempt(once(event, Flow::SKIP_STEP, |cx| cx.loader_batch() == 2));
        assert_eq!(t.batch(2), format!("{events} = skipped by asker batch_end"), "at {event}");
        // the window began anew: batch 3 and 4 make the next one
        assert_eq!(t.batch(3), "batch_start forward loss backward = accumulating batch_end");
        assert_eq!(t.batch(4), "batch_start forward loss backward step = stepped batch_end");
        assert_eq!((t.report().batches, t.report().steps), (9, 4));
        assert_eq!(t.report().status, Status::Completed);
    }
}

#[test]
fn skip_step_at_step_before_the_optimizer_holds_it_and_after_it_is_an_error() {
    let asker = |phase| once(Event::Step, Flow::SKIP_STEP, |cx| cx.loader_batch() == 2).in_phase(phase);
    let t = attempt(asker(Phase::Clip));
    assert_eq!(t.batch(2), "batch_start forward loss backward step = skipped by asker batch_end");
    assert_eq!(t.report().steps, 4);

    let t = attempt(asker(Phase::Decide));
    match t.result {
        Err(catena::Error::Chain(ChainError::TooLate { callback, event, .. })) => {
            assert_eq!((callback.as_str(), event), ("asker", Event::Step));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_skipped_window_leaves_the_parameters_and_the_gradients_alone() {
    let _exclusive = Exclusive::wait();
    let stage = Stage::new("s")
        .train(tiny_loader(4, 2))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1).momentum(0.9))
        .callback(Accumulate::new(2))
        .callback(on(Event::Backward, |cx| {
            Ok(if cx.loader_batch() == 2 { Flow::SKIP_STEP } else { Flow::GO })
        }));
    let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
    runner.run().unwrap();
    let bias = &runner.model().var_store().variables()["fc.bias"];
    assert_eq!(Vec::<f32>::try_from(bias).unwrap(), [0.0, 0.0, 0.0]);
    assert!(!bias.grad().defined());
}

#[test]
fn skip_batch_before_the_backward_pass_leaves_the_window_as_it_was() {
    for (event, events) in [
        (Event::BatchStart, "batch_start"),
        (Event::Forward, "batch_start forward"),
        (Event::Loss, "batch_start forward loss"),
    ] {
        let t = attempt(once(event, Flow::SKIP_BATCH, |cx| cx.loader_batch() == 2));
        assert_eq!(t.batch(2), format!("{events} = accumulating batch_end"), "at {event}");
        // batch 1 is still in the window, so batch 3 fills it
        assert_eq!(t.batch(3), "batch_start forward loss backward step = stepped batch_end");
        assert_eq!((t.report().batches, t.report().steps), (9, 5));
    }
}

#[test]
fn skip_batch_on_the_last_batch_still_steps_the_open_window() {
    let t = attempt(once(Event::Forward, Flow::SKIP_BATCH, |cx| cx.is_last_batch() && cx.is_train()));
    // batch 3 waits in the window; it steps after batch 4, before loader_end
    let events = t.record.events();
    let end = events.iter().position(|e| e == "loader_end train").unwrap();
    assert_eq!(events[end - 1], "step train 4");
    assert_eq!(t.report().steps, 5);
}

#[test]
fn skip_batch_after_the_backward_pass_drops_the_window() {
    let at_backward = once(Event::Backward, Flow::SKIP_BATCH, |cx| cx.loader_batch() == 2);
    let at_step = once(Event::Step, Flow::SKIP_BATCH, |cx| cx.loader_batch() == 2).in_phase(Phase::Clip);
    let tries = [(attempt(at_backward), "backward"), (attempt(at_step), "backward step")];
    for (t, events) in tries {
        assert_eq!(t.batch(2), format!("batch_start forward loss {events} = skipped by asker batch_end"));
        assert_eq!(t.report().steps, 4);
    }
}

#[test]
fn a_skip_where_nothing_can_be_skipped_does_nothing() {
    for event in [
        Event::RunStart,
        Event::EpochStart,
        Event::LoaderStart,
        Event::BatchEnd,
        Event::LoaderEnd,
        Event::EpochEnd,
    ] {
        for flow in [Flow::SKIP_STEP, Flow::SKIP_BATCH] {
            let t = attempt(once(event, flow, |_| true));
            assert_eq!((t.report().batches, t.report().steps), (9, 5), "at {event}");
        }
    }
    let t = attempt(once(Event::Forward, Flow::SKIP_STEP, |cx| cx.mode() == Mode::Eval));
    assert_eq!((t.report().batches, t.report().steps), (9, 5));
    assert_eq!(
        t.record.events().iter().filter(|e| e.starts_with("loss valid")).count(),
        4,
        "an evaluation has no step"
    );
}

#[test]
fn stop_loader_in_a_batch_steps_the_open_window_and_goes_on_with_the_next_loader() {
    for event in [Event::BatchStart, Event::Loss, Event::BatchEnd] {
        let t = attempt(once(event, Flow::STOP_LOADER, |cx| cx.loader_batch() == 3));
        assert_eq!(
            t.scopes(),
            format!("R< S< E< <train train cut short <valid valid >E {EPOCH} >S {SECOND}"),
            "at {event}"
        );
        let events = t.record.events();
        let end = events.iter().position(|e| e == "loader_end train").unwrap();
        assert_eq!(events[end - 1], "step train 3", "the open window steps before loader_end");
        assert_eq!((t.report().batches, t.report().steps), (8, 5));
        assert_eq!(t.report().status, Status::Completed, "the run was not stopped");
    }
}

#[test]
fn an_open_window_is_dropped_at_the_loaders_end_if_asked_for() {
    let asker = once(Event::BatchEnd, Flow::STOP_LOADER, |cx| cx.loader_batch() == 3);
    let t = attempt_with(asker, Accumulate::new(2).tail(Tail::Drop));
    assert_eq!((t.report().batches, t.report().steps), (8, 4));
}

#[test]
fn stop_loader_at_loader_start_runs_no_batch() {
    let t = attempt(once(Event::LoaderStart, Flow::STOP_LOADER, |_| true));
    assert_eq!(t.scopes(), format!("R< S< E< <train train cut short <valid valid >E {EPOCH} >S {SECOND}"));
    assert_eq!(t.report().batches, 5);
}

#[test]
fn stop_epoch_leaves_out_further_loaders() {
    for (event, opening) in [
        (Event::EpochStart, "E< cut short"),
        (Event::LoaderStart, "E< <train train cut short"),
        (Event::Backward, "E< <train train cut short"),
        (Event::LoaderEnd, "E< <train train"),
    ] {
        let t = attempt(once(event, Flow::STOP_EPOCH, |_| true));
        let opening = if event == Event::EpochStart { "E<" } else { opening };
        assert_eq!(t.scopes(), format!("R< S< {opening} >E cut short {EPOCH} >S {SECOND}"), "at {event}");
        assert_eq!(t.report().status, Status::Completed);
    }
}

#[test]
fn stop_stage_leaves_out_further_epochs() {
    for (event, epoch) in [
        (Event::StageStart, ""),
        (Event::EpochStart, " E< >E cut short"),
        (Event::Loss, " E< <train train cut short >E cut short"),
        (Event::EpochEnd, " E< <train train <valid valid >E"),
    ] {
        let t = attempt(once(event, Flow::STOP_STAGE, |_| true));
        assert_eq!(t.scopes(), format!("R< S<{epoch} >S cut short {SECOND}"), "at {event}");
        assert_eq!(t.report().status, Status::Completed);
    }
}

#[test]
fn stop_run_ends_everything_in_order_and_is_reported() {
    for (event, middle) in [
        (Event::RunStart, ""),
        (Event::StageStart, " S< >S cut short"),
        (Event::EpochStart, " S< E< >E cut short >S cut short"),
        (Event::Forward, " S< E< <train train cut short >E cut short >S cut short"),
        (Event::EpochEnd, " S< E< <train train <valid valid >E >S cut short"),
        (Event::StageEnd, " S< E< <train train <valid valid >E E< <train train <valid valid >E >S"),
    ] {
        let t = attempt(once(event, Flow::STOP_RUN, |_| true));
        assert_eq!(t.scopes(), format!("R<{middle} >R cut short"), "at {event}");
        let Status::Stopped(stopped) = &t.report().status else {
            panic!("at {event}: {:?}", t.report().status)
        };
        assert_eq!((stopped.by.as_str(), &stopped.why), ("asker", &None));
    }
}

#[test]
fn stop_run_leaves_an_open_window_open() {
    let t = attempt(once(Event::BatchEnd, Flow::STOP_RUN, |cx| cx.loader_batch() == 3));
    assert_eq!((t.report().batches, t.report().steps), (3, 1));
    // it is not stepped; the snapshot, if one is taken, has its gradients, and the model none
    let variables = t.runner.model().var_store().variables();
    assert!(!variables["fc.weight"].grad().defined());
}

#[test]
fn a_stop_on_the_last_batch_stops_only_what_it_names() {
    let last = |cx: &Context| cx.is_train() && cx.is_last_batch();
    let t = attempt(once(Event::BatchEnd, Flow::STOP_LOADER, last));
    assert_eq!(t.scopes(), format!("R< S< {EPOCH} {EPOCH} >S {SECOND}"), "the next loader runs");
    let t =
        attempt(once(Event::BatchEnd, Flow::STOP_EPOCH, |cx| cx.loader() == "valid" && cx.is_last_batch()));
    assert_eq!(t.scopes(), format!("R< S< {EPOCH} {EPOCH} >S {SECOND}"), "the next epoch runs");
    let t = attempt(once(Event::BatchEnd, Flow::STOP_STAGE, |cx| {
        cx.epoch() == 2 && cx.loader() == "valid" && cx.is_last_batch()
    }));
    assert_eq!(t.scopes(), format!("R< S< {EPOCH} {EPOCH} >S {SECOND}"), "the next stage runs");
    let t = attempt(once(Event::BatchEnd, Flow::STOP_RUN, |cx| cx.stage() == "second"));
    assert_eq!(t.scopes(), format!("R< S< {EPOCH} {EPOCH} >S {SECOND}"));
    assert_eq!(t.report().status, Status::Completed, "everything was done");
}

#[test]
fn a_stop_in_a_nested_evaluation_ends_it_alone_or_acts_at_the_train_batchs_cut() {
    for (flow, scopes, batches) in [
        (
            Flow::STOP_LOADER,
            format!("R< S< E< <train <valid valid cut short train <valid valid >E {EPOCH} >S {SECOND}"),
            9,
        ),
        (
            Flow::STOP_EPOCH,
            format!(
                "R< S< E< <train <valid valid cut short train cut short >E cut short {EPOCH} >S {SECOND}"
            ),
            6,
        ),
        (
            Flow::STOP_RUN,
            "R< S< E< <train <valid valid cut short train cut short >E cut short >S cut short >R cut short"
                .into(),
            1,
        ),
    ] {
        struct AskAndStop(Flow);
        impl Callback for AskAndStop {
            fn state(&self) -> State {
                State::none()
            }
            fn on_batch_end(&mut self, cx: &mut Context) -> catena::chain::Result<Flow> {
                if cx.global_batch() == 1 && cx.epoch() == 1 && cx.is_train() {
                    cx.request_evaluation("valid");
                }
                let nested = cx.loader() == "valid" && cx.global_batch() == 1;
                Ok(if nested { self.0 } else { Flow::GO })
            }
        }
        let t = attempt(AskAndStop(flow));
        assert_eq!(t.scopes(), scopes, "{flow:?}");
        assert_eq!(t.report().batches, batches);
    }
}

#[test]
fn everybody_hears_the_event_in_which_somebody_stops() {
    let t = attempt(once(Event::Loss, Flow::STOP_RUN, |_| true).in_phase(Phase::Input));
    assert_eq!(
        t.batch(1),
        "batch_start forward loss backward = accumulating batch_end",
        "and the batch is finished"
    );
}
