use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use catena_chain::drive::{Driver, LoaderScope, PassScope, RunSettings, StageScope};
use catena_chain::{CallbackExt, Optimizers, Reduce, testing};
use catena_tensor::model::Mode;
use catena_tensor::optim::{Optimizer, Sgd};
use catena_tensor::params::parameters;
use catena_tensor::tch::{Device, Tensor};

use super::*;
use catena_loggers::{Array, CsvFiles, JsonLines};

/// Loggers, and a run that tells them (or, while they are none, does the same unheard).
struct Run {
    driver: Driver,
    loggers: Option<Loggers>,
}

impl Run {
    fn start(dir: &Path, loggers: Loggers) -> Self {
        let mut run = Self::unheard(dir);
        run.loggers = Some(loggers);
        run.tell(Event::RunStart);
        run
    }

    fn unheard(dir: &Path) -> Self {
        let settings = RunSettings { seed: 0, device: Device::Cpu, run_dir: Some(dir.to_owned()) };
        let mut driver = Driver::new(Box::new(testing::tiny_model()), Vec::new(), settings).unwrap();
        let params = parameters(driver.context().model.var_store());
        let mut optimizers = Optimizers::default();
        optimizers.insert("main", Optimizer::new(Sgd::new(0.1), &params).unwrap());
        let passes = vec![PassScope { name: "main".into(), optimizer: Some("main".into()) }];
        driver.enter_stage(
            StageScope {
                index: 0,
                name: "a \"stage\", 1".into(),
                epochs: 9,
                passes,
                evaluations: Vec::new(),
            },
            optimizers,
        );
        Self { driver, loggers: None }
    }

    fn resume(&mut self, loggers: Loggers, state: State) -> Result<()> {
        self.driver.set_resuming(true);
        self.loggers = Some(loggers);
        self.tell(Event::RunStart);
        self.driver.set_resuming(false);
        let loggers = self.loggers.as_mut().unwrap();
        loggers.load_state(state)?;
        loggers.on_resumed(self.driver.context_mut())
    }

    fn tell(&mut self, event: Event) {
        if let Some(loggers) = &mut self.loggers {
            assert!(loggers.about().hears.contains(event));
            loggers.on_event(event, self.driver.context_mut()).unwrap();
        }
    }

    fn train_batch(&mut self, batch: f64) {
        self.driver.enter_batch(testing::tiny_batch(3));
        self.driver.enter_pass(0).unwrap();
        let cx = self.driver.context_mut();
        let epoch = cx.global_epoch() as f64;
        cx.log("loss", Tensor::from(1.0 / (3.0 * epoch + batch)), Reduce::Mean).unwrap();
        if epoch > 1.0 {
            cx.log("grad, norm", f64::INFINITY, Reduce::Last).unwrap();
        }
        cx.mark_stepped();
        self.driver.close_window();
        self.tell(Event::BatchEnd);
    }

    fn enter_train(&mut self) {
        self.driver.enter_epoch();
        self.driver.enter_loader(LoaderScope::new("train", Mode::Train, Some(2)));
    }

    fn end_epoch(&mut self) {
        self.tell(Event::LoaderEnd);
        self.driver.leave_loader().unwrap();
        self.driver.enter_loader(LoaderScope::new("valid/a", Mode::Eval, None));
        let cx = self.driver.context_mut();
        let value = 0.1 * cx.global_epoch() as f64;
        cx.log("loss", value, Reduce::Last).unwrap();
        if cx.global_epoch() > 1 {
            put_matrix(cx, &[value, 0.0, f64::NAN, 2.0], 2);
        }
        self.tell(Event::LoaderEnd);
        self.driver.leave_loader().unwrap();
        self.tell(Event::EpochEnd);
    }

    /// Two train batches and an evaluation. From epoch 2 on there is a metric more.
    fn epoch(&mut self) {
        self.enter_train();
        self.train_batch(1.0);
        self.train_batch(2.0);
        self.end_epoch();
    }

    fn snapshot(&mut self) -> State {
        let loggers = self.loggers.as_mut().unwrap();
        loggers.flush(self.driver.context_mut()).unwrap();
        loggers.state()
    }
}

/// Hands over a matrix with rows of this length, as a metric does.
fn put_matrix(cx: &mut Context, numbers: &[f64], width: i64) {
    let array = Array::of(&Tensor::from_slice(numbers).view([-1, width])).unwrap();
    Outbox::put(cx, Payload::Array { name: "confusion_matrix".into(), array });
}

fn both() -> Loggers {
    Loggers::new().with(JsonLines::new()).with(CsvFiles::new()).batches(Every::Batches(1))
}

/// Everything in a run directory, by path.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in [dir.to_owned(), dir.join("metrics")] {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_files_are_what_the_doc_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), both());
    run.epoch();
    run.epoch();
    run.tell(Event::RunEnd);
    let text =
        files(dir.path()).into_iter().map(|(name, text)| format!("{name}\n{text}\n")).collect::<String>();
    insta::assert_snapshot!(text);
}

#[test]
fn a_run_resumed_anywhere_writes_the_same_bytes_as_one_that_was_never_killed() {
    for every in [1, 3] {
        resumed_anywhere(&|| both().batches(Every::Batches(every)));
    }
}

fn resumed_anywhere(loggers: &dyn Fn() -> Loggers) {
    let whole = tempfile::tempdir().unwrap();
    let mut run = Run::start(whole.path(), loggers());
    (0..4).for_each(|_| run.epoch());
    run.tell(Event::RunEnd);
    let expected = files(whole.path());
    assert_eq!(expected.len(), 4);

    for snapshot_after in 0..4 {
        for inside in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut killed = Run::start(dir.path(), loggers());
            (0..snapshot_after).for_each(|_| killed.epoch());
            let state = if inside {
                killed.enter_train();
                killed.train_batch(1.0);
                let state = killed.snapshot();
                killed.train_batch(2.0);
                killed.end_epoch();
                state
            } else {
                killed.snapshot()
            };
            // what comes after the snapshot adds columns and files, and half a line
            (0..2).for_each(|_| killed.epoch());
            drop(killed);
            for name in ["metrics.jsonl", "metrics/train.csv"] {
                let mut text = fs::read(dir.path().join(name)).unwrap();
                text.extend(b"{\"half");
                fs::write(dir.path().join(name), text).unwrap();
            }

            let mut resumed = Run::unheard(dir.path());
            (0..snapshot_after).for_each(|_| resumed.epoch());
            if inside {
                resumed.enter_train();
                resumed.train_batch(1.0);
            }
            resumed.resume(loggers(), state).unwrap();
            if inside {
                resumed.train_batch(2.0);
                resumed.end_epoch();
            }
            (snapshot_after + u64::from(inside)..4).for_each(|_| resumed.epoch());
            resumed.tell(Event::RunEnd);
            assert_eq!(files(dir.path()), expected, "after {snapshot_after} epochs, inside {inside}");
        }
    }
}

#[test]
fn what_an_interruption_cuts_short_is_not_logged() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), both());
    run.epoch();
    run.enter_train();
    run.driver.context_mut().interrupt("a signal");
    run.driver.take_interruption();
    run.train_batch(1.0);
    run.snapshot();
    let before = files(dir.path());
    assert!(before[0].1.ends_with("\"metrics\":{\"loss\":0.14285714285714285,\"grad, norm\":\"inf\"}}\n"));
    run.end_epoch();
    run.tell(Event::RunEnd);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn without_a_snapshot_an_interrupted_run_keeps_its_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), both());
    run.enter_train();
    run.train_batch(1.0);
    run.driver.context_mut().interrupt("a signal");
    run.driver.take_interruption();
    run.train_batch(2.0);
    run.tell(Event::LoaderEnd);
    run.tell(Event::RunEnd);
    assert_eq!(fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap().lines().count(), 2);
}

#[test]
fn a_run_that_begins_removes_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    for epochs in [2, 1] {
        let mut run = Run::start(dir.path(), both());
        (0..epochs).for_each(|_| run.epoch());
        run.tell(Event::RunEnd);
    }
    let lines: Vec<usize> = files(dir.path()).iter().map(|(_, text)| text.lines().count()).collect();
    assert_eq!(lines, [4, 3, 2, 2]);
}

#[test]
fn a_logger_that_the_snapshot_does_not_know_begins() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), both());
    run.epoch();
    drop(run);
    let mut run = Run::unheard(dir.path());
    run.epoch();
    run.resume(both(), State::json(serde_json::json!({ "positions": {}, "batches": { "batches": 2 } })))
        .unwrap();
    run.epoch();
    run.tell(Event::RunEnd);
    let lines: Vec<usize> = files(dir.path()).iter().map(|(_, text)| text.lines().count()).collect();
    // no row of the life before, which the snapshot does not count
    assert_eq!(lines, [4, 3, 2, 2]);
}

#[test]
fn a_file_that_was_shortened_or_removed_is_an_error_with_its_name_and_one_that_is_left_out_is_begun_anew() {
    for name in ["metrics.jsonl", "metrics/train.csv"] {
        for length in [Some(70), None] {
            let dir = tempfile::tempdir().unwrap();
            let mut run = Run::start(dir.path(), both());
            run.epoch();
            let state = run.snapshot();
            drop(run);
            let path = dir.path().join(name);
            match length {
                Some(length) => fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            let text = Run::unheard(dir.path()).resume(both(), state.shared()).unwrap_err().to_string();
            let told = if length.is_some() { "has 70 bytes, but had" } else { "is gone" };
            assert!(text.contains(name) && text.contains(told), "{text}");
            // the runner sets it aside and leaves it out where that is allowed
            let mut state = state;
            assert!(state.logs.remove(name).is_some());
            let _gone = fs::remove_file(dir.path().join(name));
            let mut run = Run::unheard(dir.path());
            run.epoch();
            run.resume(both(), state).unwrap();
            run.epoch();
            run.tell(Event::RunEnd);
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            let rows = text.lines().filter(|line| !line.starts_with("stage,")).count();
            assert_eq!(rows, if name == "metrics.jsonl" { 4 } else { 1 }, "{text}");
        }
    }
}

#[test]
fn on_a_full_disk_a_log_says_what_it_lacks_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("metrics.jsonl")).unwrap();
    let mut run = Run::start(dir.path(), both());
    run.epoch();
    let state = run.snapshot();
    let mark = &state.logs["metrics.jsonl"];
    assert!(mark.bytes == 0 && mark.lost > 100, "{mark:?}");
    assert_eq!(state.logs["metrics/train.csv"].lost, 0);
    run.epoch();
    run.tell(Event::RunEnd);
    let csv = fs::read_to_string(dir.path().join("metrics/train.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3);
}

#[test]
fn without_a_run_directory_a_file_logger_is_an_error_that_says_so() {
    let mut driver = testing::driver(vec![Box::new(Loggers::new().with(CsvFiles::new()))]).unwrap();
    let text = driver.fire(Event::RunStart).unwrap_err().to_string();
    assert!(text.contains("CsvFiles writes into the run directory, but the run has none"), "{text}");
}

#[test]
fn what_a_callback_hands_over_comes_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), Loggers::new().with(JsonLines::new()));
    run.enter_train();
    let scalars = [("free", 1.5)].into_iter().collect();
    Outbox::put(run.driver.context_mut(), Payload::Scalars(scalars));
    run.train_batch(1.0);
    run.snapshot();
    let text = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    assert!(
        text.contains(r#""loader":"train","global_step":0,"global_batch":0,"metrics":{"free":1.5}}"#),
        "{text}"
    );
}

#[test]
fn an_array_without_a_row_gets_one_and_one_that_is_too_large_leaves_its_row_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), Loggers::new().with(JsonLines::new()));
    run.enter_train();
    put_matrix(run.driver.context_mut(), &[1.0, 2.0], 1);
    run.train_batch(1.0);
    put_matrix(run.driver.context_mut(), &vec![1.0; 200 * 200], 200);
    put_matrix(run.driver.context_mut(), &[3.0], 1);
    run.tell(Event::LoaderEnd);
    // not of the row that is handed over with it
    put_matrix(run.driver.context_mut(), &[4.0], 1);
    run.driver.leave_loader().unwrap();
    run.driver.enter_loader(LoaderScope::new("valid", Mode::Eval, None));
    Outbox::put(run.driver.context_mut(), Payload::Scalars([("other", 5.0)].into_iter().collect()));
    run.tell(Event::RunEnd);
    let text = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let metrics: Vec<&str> = text.lines().map(|line| line.split_once("\"metrics\":").unwrap().1).collect();
    let expected = [
        r#"{"confusion_matrix":[[1.0],[2.0]]}}"#,
        r#"{"loss":0.25,"confusion_matrix":[[3.0]]}}"#,
        r#"{"other":5.0}}"#,
        r#"{"confusion_matrix":[[4.0]]}}"#,
    ];
    assert_eq!(metrics, expected);
}

#[test]
fn an_array_of_what_is_interrupted_comes_when_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), both());
    run.enter_train();
    run.train_batch(1.0);
    run.driver.context_mut().interrupt("a signal");
    run.driver.take_interruption();
    put_matrix(run.driver.context_mut(), &[1.0], 1);
    run.tell(Event::LoaderEnd);
    run.tell(Event::RunEnd);
    assert!(!fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap().contains("confusion_matrix"));
}

#[test]
fn hyper_parameters_are_among_the_settings_of_run_json() {
    let params = serde_json::json!({ "optimizer": { "lr": 0.5 }, "layers": [64, 10] });
    let loggers = both().params(&params).named("mine").in_phase(Phase::User);
    let boxed: Box<dyn Callback> = Box::new(loggers);
    let expected = serde_json::json!({ "params": { "optimizer.lr": 0.5, "layers": [64, 10] } });
    assert_eq!(boxed.about().settings, expected);
    assert_eq!(both().about().settings, Json::Null);
}

#[test]
fn loggers_without_a_logger_or_with_two_of_one_name_are_refused() {
    assert!(Loggers::new().check().is_err());
    let twice = Loggers::new().with(JsonLines::new()).with(JsonLines::new());
    assert_eq!(twice.check().unwrap_err().to_string(), "two loggers are named `JsonLines`; one is enough");
    assert!(both().check().is_ok());
}

/// Warnings of all tests of this process.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }
    fn flush(&self) {}
}

/// Fails in a way of its own, each time.
struct Broken(&'static str);

impl Logger for Broken {
    fn start(&mut self, _: &RunInfo) -> Result<()> {
        Ok(())
    }
    fn log(&mut self, _: &Entry) -> Result<()> {
        match self.0 {
            "BrokenPipe" => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
            other => panic!("{other}"),
        }
    }
    fn name(&self) -> &str {
        self.0
    }
}

#[test]
fn a_broken_logger_is_one_warning_and_the_others_go_on() {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let dir = tempfile::tempdir().unwrap();
    let loggers = Loggers::new().with(Broken("BrokenPipe")).with(Broken("Panics")).with(JsonLines::new());
    let mut run = Run::start(dir.path(), loggers);
    run.epoch();
    run.epoch();
    run.snapshot();
    run.tell(Event::RunEnd);
    assert_eq!(fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap().lines().count(), 4);
    let warnings = WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |name| warnings.iter().filter(|text| text.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("BrokenPipe"), ["BrokenPipe can't write and is silent from here on: broken pipe"]);
    assert_eq!(of("Panics"), ["Panics can't write and is silent from here on: panicked: Panics"]);
}

#[test]
fn a_frequency_that_never_comes_is_refused() {
    let check =
        |every| Loggers::new().with(JsonLines::new()).batches(every).check().map_err(|e| e.to_string());
    assert_eq!(check(Every::Steps(0)), Err("`every` is 0 steps, but its number must be above 0".into()));
    let text = "`batches` can't be an overhead: that is for snapshots";
    assert_eq!(check(Every::Overhead(0.01)), Err(text.into()));
    assert_eq!((check(Every::Never), check(Every::Seconds(2.0))), (Ok(()), Ok(())));
}

#[test]
fn loggers_of_a_stage_are_an_error_that_says_where_they_belong() {
    let mut driver = testing::driver(vec![Box::new(Loggers::new().with(JsonLines::new()))]).unwrap();
    let text = driver.fire(Event::LoaderEnd).unwrap_err().to_string();
    assert!(text.contains("add it to the runner"), "{text}");
}
