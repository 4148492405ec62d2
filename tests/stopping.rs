//! Who ended a run, and why: in its report, in run.json, on the console.
use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{Every, Stop};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use serde_json::{Value, json};

/// A stream whose text the test reads.
#[derive(Clone, Default)]
struct Text(Rc<RefCell<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn lines_with(&self, word: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.borrow().clone()).unwrap();
        text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
    }
}

fn stage(name: &str, epochs: u64) -> Stage {
    Stage::new(name)
        .epochs(epochs)
        .train(tiny_loader(8, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1))
}

/// Stops the stage after its second epoch: by so much the loss never falls.
fn impatient() -> EarlyStopping {
    EarlyStopping::new("train/loss").patience(1).min_delta(1000.0)
}

const WHY: &str = "train/loss has not got better in 1 measurement; the best was";

fn checkpoint() -> Checkpoint {
    Checkpoint::new().every(Every::Epochs(1)).keep_every(1)
}

fn run_json(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_run_whose_last_stage_was_stopped_was_stopped_by_it() {
    let _exclusive = Exclusive::wait();
    let (dir, text) = (tempfile::tempdir().unwrap(), Text::default());
    let builder = || {
        Runner::builder(tiny_model())
            .run_dir(dir.path())
            .stage(stage("only", 9))
            .callback(impatient())
            .callback(checkpoint())
    };
    let report = builder().callback(Console::to(text.clone())).build().unwrap().run().unwrap();
    let Status::Stopped(stopped) = &report.status else { panic!("{:?}", report.status) };
    assert_eq!((report.epochs, stopped.by.as_str()), (2, "EarlyStopping"));
    let why = stopped.why.clone().unwrap();
    assert!(why.starts_with(WHY), "{why}");
    assert_eq!(
        text.lines_with("was stopped"),
        [
            format!("stage `only` was stopped in epoch 2 of 9 by EarlyStopping: {why}"),
            "the run was stopped after 4 batches and 4 steps by EarlyStopping".to_owned()
        ]
    );
    let written = run_json(dir.path());
    assert_eq!(written["status"], "stopped");
    assert_eq!(written["stopped_by"], json!({ "callback": "EarlyStopping", "why": why }));

    let again = builder().build().unwrap().resume(Resume::Latest).unwrap();
    assert_eq!((again.batches_run, &again.status), (0, &report.status), "a finished run gives its report");
    assert_eq!(run_json(dir.path())["stopped_by"], written["stopped_by"]);
}

#[test]
fn a_stop_of_a_stage_that_others_follow_leaves_the_run_complete() {
    let _exclusive = Exclusive::wait();
    let (dir, text) = (tempfile::tempdir().unwrap(), Text::default());
    let first = stage("first", 9).callback(impatient());
    let mut runner = Runner::builder(tiny_model())
        .run_dir(dir.path())
        .stage(first)
        .stage(stage("second", 1))
        .callback(Console::to(text.clone()))
        .build()
        .unwrap();
    let report = runner.run().unwrap();
    assert_eq!((report.status, report.epochs), (Status::Completed, 3));
    let written = run_json(dir.path());
    assert_eq!((&written["status"], &written["stopped_by"]), (&json!("completed"), &Value::Null));
    let told = text.lines_with("stopped");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("stage `first` was stopped in epoch 2 of 9 by EarlyStopping: "), "{told:?}");
}

#[test]
fn a_stop_that_leaves_nothing_out_is_none() {
    let _exclusive = Exclusive::wait();
    for stop in [Stop::Loader, Stop::Epoch, Stop::Stage, Stop::Run] {
        let text = Text::default();
        let last = on(Event::EpochEnd, move |cx| {
            cx.because("it was the last");
            Ok(Flow { stop: if cx.epoch() == 2 { stop } else { Stop::None }, ..Flow::GO })
        });
        let report = Runner::builder(tiny_model())
            .stage(stage("only", 2).callback(last.named("late")))
            .callback(Console::to(text.clone()))
            .build()
            .unwrap()
            .run()
            .unwrap();
        assert_eq!((report.status, report.epochs), (Status::Completed, 2), "{stop:?}");
        assert_eq!(text.lines_with("stopped"), [""; 0]);
    }
}

#[test]
fn a_stop_of_the_run_says_why_once() {
    let _exclusive = Exclusive::wait();
    let text = Text::default();
    let report = Runner::builder(tiny_model())
        .stage(stage("only", 2))
        .callback(MaxSteps(3))
        .callback(Console::to(text.clone()))
        .build()
        .unwrap()
        .run()
        .unwrap();
    assert!(matches!(&report.status, Status::Stopped(stopped) if stopped.by == "MaxSteps"), "{report:?}");
    assert_eq!(
        text.lines_with("was stopped"),
        ["the run was stopped after 3 batches and 3 steps by MaxSteps: 3 steps were made"]
    );
}

#[test]
fn a_run_that_fails_is_not_left_as_running() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let builder = |fails: bool| {
        let broken = on(Event::Forward, move |cx| match fails && cx.global_batch() == 3 {
            true => Err("the disk of the data is gone".into()),
            false => Ok(Flow::GO),
        });
        let builder = Runner::builder(tiny_model()).run_dir(dir.path()).stage(stage("only", 2));
        builder.callback(checkpoint()).callback(broken.named("broken"))
    };
    let error = builder(true).build().unwrap().run().unwrap_err();
    let written = run_json(dir.path());
    assert_eq!((&written["status"], &written["error"]), (&json!("failed"), &json!(error.to_string())));
    assert!(written["ended"].is_string() && error.to_string().contains("the disk of the data is gone"));
    builder(false).build().unwrap().resume(Resume::Latest).unwrap();
    let written = run_json(dir.path());
    assert_eq!((&written["status"], &written["error"]), (&json!("completed"), &Value::Null));
}

#[test]
fn a_stage_that_was_stopped_goes_on_if_the_stop_is_forgotten_and_not_for_more_epochs_alone() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let builder = |epochs: u64| {
        Runner::builder(tiny_model()).run_dir(dir.path()).stage(stage("only", epochs)).callback(checkpoint())
    };
    builder(4).callback(impatient()).build().unwrap().run().unwrap();
    let stopped =
        |report: &Report| matches!(&report.status, Status::Stopped(stopped) if stopped.by == "EarlyStopping");
    let more =
        builder(6).callback(impatient()).allow("epochs").build().unwrap().resume(Resume::Latest).unwrap();
    assert!(stopped(&more) && more.batches_run == 0, "{more:?}");
    let forgotten =
        builder(4).allow("EarlyStopping").allow("stop").build().unwrap().resume(Resume::Latest).unwrap();
    assert_eq!((forgotten.status, forgotten.epochs, forgotten.batches), (Status::Completed, 4, 8));
}
