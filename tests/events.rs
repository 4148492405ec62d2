//! The order of events of a whole run, as an exact list.
use catena::chain::testing::{Recorder, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;

/// A line for each `event loader batch`; words that repeat are left out by writing the batch's events on one line.
fn compact(events: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let starts_batch = event.starts_with("batch_start");
        let of_batch = ["forward", "loss", "backward", "step", "batch_end"]
            .iter()
            .any(|e| event.split(' ').next() == Some(e));
        match lines.last_mut() {
            Some(line) if of_batch && line.starts_with("batch_start") && !line.contains("batch_end") => {
                *line += &format!(" {}", event.split(' ').next().unwrap());
            }
            _ if starts_batch => lines.push(event.clone() + ":"),
            _ => lines.push(event.clone()),
        }
    }
    lines
}

#[test]
fn two_stages_two_loaders_a_nested_evaluation_and_a_short_last_window() {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = Recorder::new();
    let stage = |name: &str| {
        Stage::new(name)
            .train(tiny_loader(10, 2)) // 5 batches: a window of 3, and a short one of 2
            .valid(tiny_loader(4, 2))
            .loss(CrossEntropy::new())
            .optimizer(Sgd::new(0.1))
    };
    let ask = on(Event::BatchEnd, |cx| {
        if cx.is_train() && cx.loader_batch() == 2 {
            cx.request_evaluation("valid");
        }
        Ok(Flow::GO)
    });
    let first = stage("first").callback(Accumulate::new(3)).callback(ask);
    let second = stage("second").epochs(2);
    let mut runner = Runner::builder(tiny_model())
        .stage(first)
        .stage(second)
        .callback(recorder.with_place())
        .build()
        .unwrap();
    let report = runner.run().unwrap();

    let epoch_of_second = [
        "epoch_start",
        "loader_start train",
        "batch_start train 1: forward loss backward step batch_end",
        "batch_start train 2: forward loss backward step batch_end",
        "batch_start train 3: forward loss backward step batch_end",
        "batch_start train 4: forward loss backward step batch_end",
        "batch_start train 5: forward loss backward step batch_end",
        "loader_end train",
        "loader_start valid",
        "batch_start valid 1: forward loss batch_end",
        "batch_start valid 2: forward loss batch_end",
        "loader_end valid",
        "epoch_end",
    ];
    let mut expected = vec![
        "run_start",
        "stage_start",
        "epoch_start",
        "loader_start train",
        "batch_start train 1: forward loss backward batch_end",
        "batch_start train 2: forward loss backward batch_end",
        "loader_start valid",
        "batch_start valid 1: forward loss batch_end",
        "batch_start valid 2: forward loss batch_end",
        "loader_end valid",
        "batch_start train 3: forward loss backward step batch_end",
        "batch_start train 4: forward loss backward batch_end",
        "batch_start train 5: forward loss backward step batch_end",
        "loader_end train",
        "loader_start valid",
        "batch_start valid 1: forward loss batch_end",
        "batch_start valid 2: forward loss batch_end",
        "loader_end valid",
        "epoch_end",
        "stage_end",
        "stage_start",
    ];
    expected.extend(epoch_of_second);
    expected.extend(epoch_of_second);
    expected.extend(["stage_end", "run_end"]);
    assert_eq!(compact(&record.events()), expected);
    assert_eq!((report.epochs, report.batches, report.steps, report.samples), (3, 15, 12, 30));
    assert_eq!(report.status, Status::Completed);
}

#[test]
fn two_passes_each_have_their_own_events_optimizer_and_window() {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = Recorder::new();
    let stage = Stage::new("gan")
        .train(tiny_loader(4, 2))
        .pass(Pass::new("weights").params("*.weight").optimizer(Sgd::new(0.1)).loss(CrossEntropy::new()))
        .pass(Pass::new("biases").params("*.bias").optimizer(Sgd::new(0.2)).loss(CrossEntropy::new()));
    let see = on(Event::Step, |cx| {
        let with_gradient: Vec<String> = ["weights", "biases"]
            .into_iter()
            .filter(|name| {
                cx.optimizers.get(name).is_some_and(|o| o.params().iter().any(|p| p.grad().defined()))
            })
            .map(str::to_owned)
            .collect();
        assert_eq!(with_gradient, [cx.pass()], "a pass adds gradients to its own parameters only");
        Ok(Flow::GO)
    });
    let see = see.in_phase(Phase::Clip);
    let mut runner =
        Runner::builder(tiny_model()).stage(stage).callback(recorder).callback(see).build().unwrap();
    let report = runner.run().unwrap();
    let batch = "batch_start forward loss backward step forward loss backward step batch_end";
    let expected = format!(
        "run_start stage_start epoch_start loader_start {batch} {batch} loader_end epoch_end stage_end run_end"
    );
    assert_eq!(record.events().join(" "), expected);
    assert_eq!(report.steps, 2, "the global step is the first pass's");
    let optimizers = &runner.driver().context().optimizers;
    assert_eq!(optimizers.get("biases").unwrap().steps(), 2);
    let metrics: Vec<&str> = report.metrics.keys().map(String::as_str).collect();
    assert_eq!(metrics, ["train/biases_loss", "train/weights_loss"]);
}

#[test]
fn callbacks_hear_an_event_by_phase_then_by_insertion_end_events_too() {
    let _exclusive = Exclusive::wait();
    let (_, record) = Recorder::new();
    let note = |name: &'static str, phase: Phase, event: Event| {
        let record = record.clone();
        on(event, move |_| {
            record.add(name);
            Ok(Flow::GO)
        })
        .named(format!("{name} {event}"))
        .in_phase(phase)
    };
    let mut builder = Runner::builder(tiny_model())
        .stage(Stage::new("s").train(tiny_loader(2, 2)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1)));
    for event in [Event::EpochStart, Event::EpochEnd] {
        builder = builder
            .callback(note("report", Phase::Report, event))
            .callback(note("user 1", Phase::User, event))
            .callback(note("input", Phase::Input, event))
            .callback(note("user 2", Phase::User, event));
    }
    builder.build().unwrap().run().unwrap();
    let order = ["input", "user 1", "user 2", "report"];
    assert_eq!(record.events(), [order, order].concat());
}

#[test]
fn frozen_parameters_stay_and_the_next_stage_thaws_them() {
    let _exclusive = Exclusive::wait();
    let (_, record) = Recorder::new();
    let see = {
        let record = record.clone();
        on(Event::StageEnd, move |cx| {
            let variables = cx.model.var_store().variables();
            record.add(format!("{:?}", Vec::<f32>::try_from(&variables["fc.bias"])?));
            Ok(Flow::GO)
        })
    };
    let stage = |name: &str| {
        Stage::new(name).train(tiny_loader(6, 2)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
    };
    Runner::builder(tiny_model())
        .stage(stage("frozen").freeze("*.bias"))
        .stage(stage("thawed"))
        .callback(see)
        .build()
        .unwrap()
        .run()
        .unwrap();
    let [frozen, thawed] = &record.events()[..] else { panic!("two stages") };
    assert_eq!(frozen, "[0.0, 0.0, 0.0]");
    assert_ne!(thawed, frozen);
}

#[test]
fn evaluations_can_be_asked_for_at_the_cut_of_an_epoch_a_stage_and_the_run() {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = Recorder::new();
    let mut builder = Runner::builder(tiny_model()).callback(recorder.with_place());
    for event in [Event::EpochEnd, Event::StageEnd, Event::RunEnd] {
        builder = builder.callback(on(event, |cx| {
            cx.request_evaluation("test");
            Ok(Flow::GO)
        }));
    }
    let stage = Stage::new("train").train(tiny_loader(2, 2)).on_request("test", tiny_loader(4, 4));
    let report = builder
        .stage(stage.loss(CrossEntropy::new()).optimizer(Sgd::new(0.1)))
        .build()
        .unwrap()
        .run()
        .unwrap();
    let evaluation = ["loader_start test", "batch_start test 1: forward loss batch_end", "loader_end test"];
    let events = compact(&record.events());
    let at = |event: &str| events.iter().position(|e| e == event).unwrap() + 1;
    for event in ["epoch_end", "stage_end", "run_end"] {
        assert_eq!(events[at(event)..at(event) + 3], evaluation, "after {event}");
    }
    assert_eq!(events.iter().filter(|e| *e == "loader_start test").count(), 3, "and only when asked for");
    assert!(report.metrics["test/loss"].is_finite());
}

#[test]
fn what_the_user_froze_stays_frozen_and_a_stage_thaws_only_its_own() {
    let _exclusive = Exclusive::wait();
    let model = tiny_model();
    let bias = model.var_store().variables()["fc.bias"].set_requires_grad(false);
    let weight = model.var_store().variables()["fc.weight"].shallow_clone();
    let stage = |name: &str| Stage::new(name).train(tiny_loader(6, 2)).loss(CrossEntropy::new());
    let first = stage("first").optimizer(Sgd::new(0.1));
    let second = stage("second").optimizer(Sgd::new(0.1)).freeze("*.bias");
    Runner::builder(model).stage(first).stage(second).build().unwrap().run().unwrap();
    assert!(!bias.requires_grad() && weight.requires_grad());
    assert_eq!(Vec::<f32>::try_from(bias).unwrap(), [0.0, 0.0, 0.0]);
}
