//! Logs that others changed, loggers that come and go, and what is told of runs that can't go on.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor, nn};
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;
use serde_json::Value;

fn stage() -> Stage {
    Stage::new("s")
        .epochs(3)
        .train(tiny_loader(20, 4).shuffle(true))
        .valid(tiny_loader(8, 4))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1).momentum(0.9))
}

fn loggers() -> Loggers {
    Loggers::new()
        .with(JsonLines::new())
        .with(CsvFiles::new())
        .with(TensorBoard::new())
        .batches(Every::Batches(2))
}

/// A run that is interrupted after this batch of 15, if there is one.
fn builder(dir: &Path, until: u64, loggers: Loggers) -> catena::RunnerBuilder {
    let stop = look(Event::BatchEnd, move |cx| {
        if cx.is_train() && cx.global_batch() == until {
            cx.interrupt("test");
        }
        Ok(())
    });
    Runner::builder(tiny_model())
        .stage(stage())
        .run_dir(dir)
        .callback(stop.in_phase(Phase::Report).named("stop"))
        .callback(Checkpoint::new().every(Every::Batches(4)).keep_every(1))
        .callback(loggers)
}

fn go_on(builder: catena::RunnerBuilder) -> Result<(String, Report), String> {
    let mut runner = builder.build().map_err(|error| error.to_string())?;
    let report = runner.resume(Resume::LatestIfAny).map_err(|error| error.to_string())?;
    Ok((sha256(&state_dict(runner.model().var_store())).unwrap(), report))
}

/// Every file of a directory but for what the clock says, by its path in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    drop(found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap()))
                }
            }
        }
    }
    found
}

fn texts(dir: &Path) -> BTreeMap<PathBuf, String> {
    let is_log = |path: &PathBuf| {
        path.starts_with("metrics")
            || path == Path::new("journal.jsonl")
            || path == Path::new("metrics.jsonl")
    };
    let logs = files(dir).into_iter().filter(|(path, _)| is_log(path));
    logs.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

/// Something that happens to a log.
type Change<'a> = &'a dyn Fn(&Path);

#[test]
fn a_log_that_is_another_one_is_refused_untouched_and_set_aside_where_that_is_allowed() {
    let _exclusive = Exclusive::wait();
    let whole = tempfile::tempdir().unwrap();
    let (expected, _) = go_on(builder(whole.path(), 0, loggers())).unwrap();
    let expected_texts = texts(whole.path());
    let edit = |path: &Path, change: &dyn Fn(String) -> String| {
        fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap()
    };
    let changes: [(&str, Change); 5] = [
        ("is gone", &|path| fs::remove_file(path).unwrap()),
        ("was changed", &|path| edit(path, &|text| text.replace('\n', "\r\n"))),
        ("was changed", &|path| edit(path, &|text| format!("\n{text}"))),
        ("has 3 bytes, but had", &|path| fs::write(path, "abc").unwrap()),
        ("is gone", &|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for log in [
        "journal.jsonl",
        "metrics.jsonl",
        "metrics/train.csv",
        "metrics/valid.csv",
        "metrics/train.batches.csv",
    ] {
        for (told, change) in changes {
            let dir = tempfile::tempdir().unwrap();
            go_on(builder(dir.path(), 12, loggers())).unwrap();
            change(&dir.path().join(log));
            let before = files(dir.path());
            let error = go_on(builder(dir.path(), 0, loggers())).unwrap_err();
            assert!(error.contains(&format!("{log} {told}")) && error.contains("allow `logs`"), "{error}");
            assert_eq!(files(dir.path()), before, "a refusal changes nothing");
            let changed = fs::read(dir.path().join(log)).ok();

            let (hash, _) = go_on(builder(dir.path(), 0, loggers()).allow("logs")).unwrap();
            assert_eq!(hash, expected, "{log} {told}");
            let aside = dir.path().join(format!("{log}.aside.1"));
            assert_eq!(fs::read(&aside).ok(), changed, "what was there is kept");
            for (path, text) in &expected_texts {
                let now = fs::read_to_string(dir.path().join(path)).unwrap();
                if path != Path::new(log) {
                    assert_eq!(&now, text, "{log} {told}: {}", path.display());
                } else {
                    // it begins anew, and has the run's last rows
                    assert!(
                        now.len() < text.len() && text.lines().last() == now.lines().last(),
                        "{log}: {now}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_log_that_only_grew_after_the_snapshot_is_cut_back_and_a_table_with_more_columns_too() {
    let _exclusive = Exclusive::wait();
    let (whole, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    go_on(builder(whole.path(), 0, loggers())).unwrap();
    go_on(builder(dir.path(), 12, loggers())).unwrap();
    for log in ["journal.jsonl", "metrics.jsonl", "metrics/train.csv"] {
        let path = dir.path().join(log);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text + "a line that a killed process left, half of").unwrap();
    }
    let table = dir.path().join("metrics/valid.csv");
    let wider: Vec<String> = fs::read_to_string(&table)
        .unwrap()
        .lines()
        .enumerate()
        .map(|(n, line)| if n == 0 { format!("{line},later") } else { format!("{line},") })
        .collect();
    fs::write(&table, wider.join("\n") + "\n").unwrap();
    go_on(builder(dir.path(), 0, loggers())).unwrap();
    assert_eq!(texts(dir.path()), texts(whole.path()));
}

#[test]
fn loggers_that_come_and_go_write_each_row_once() {
    let _exclusive = Exclusive::wait();
    let whole = tempfile::tempdir().unwrap();
    go_on(builder(whole.path(), 0, loggers())).unwrap();
    let whole = texts(whole.path());
    let json = || Loggers::new().with(JsonLines::new()).batches(Every::Batches(2));
    let csv = || Loggers::new().with(CsvFiles::new()).batches(Every::Batches(2));
    type Make<'a> = &'a dyn Fn() -> Loggers;
    // until which batch, with which loggers; it is resumed twice each time, once after rows that no snapshot counts
    let lives: [&[(u64, Make)]; 4] = [
        &[(5, &json), (9, &csv), (0, &loggers)],
        &[(5, &loggers), (9, &json), (0, &loggers)],
        &[(5, &csv), (9, &loggers), (0, &csv)],
        &[(3, &json), (6, &loggers), (9, &csv), (12, &json), (0, &loggers)],
    ];
    for life in lives {
        let dir = tempfile::tempdir().unwrap();
        for (until, make) in life {
            go_on(builder(dir.path(), *until, make())).unwrap();
            // the last snapshots are lost, as by a kill: what was written after the one before is written again
            let last = fs::read_dir(dir.path().join("checkpoints"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .max();
            fs::remove_dir_all(last.unwrap()).unwrap();
            go_on(builder(dir.path(), *until, make())).unwrap();
        }
        for (path, text) in texts(dir.path()) {
            let rows: Vec<&str> = text.lines().collect();
            let mut all = whole[&path].lines();
            // the rows are some of the whole run's, each once and in their order
            assert!(rows.iter().all(|row| all.any(|other| other == *row)), "{}:\n{text}", path.display());
        }
        assert_eq!(texts(dir.path())[Path::new("journal.jsonl")], whole[Path::new("journal.jsonl")]);
    }
}

#[test]
fn a_run_that_failed_says_so_and_by_what_also_when_it_failed_while_going_on() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let fails = |event: Event| {
        on(event, move |cx| if cx.global_batch() >= 5 { Err("it fails".into()) } else { Ok(Flow::GO) })
    };
    let run_json =
        || -> Value { serde_json::from_slice(&fs::read(dir.path().join("run.json")).unwrap()).unwrap() };
    let failing =
        |event| builder(dir.path(), 0, loggers()).callback(fails(event).named("fails")).allow("fails");
    go_on(failing(Event::BatchEnd)).unwrap_err();
    assert_eq!(run_json()["status"], "failed");
    assert!(run_json()["error"].as_str().unwrap().contains("it fails"), "{}", run_json());
    assert!(run_json()["ended"].is_string());
    go_on(builder(dir.path(), 12, loggers()).allow("fails")).unwrap();
    assert_eq!((run_json()["status"].as_str(), run_json()["error"].as_str()), (Some("interrupted"), None));
    let before = run_json();
    // a resume that is refused has not begun
    go_on(failing(Event::LoaderStart)).unwrap_err();
    assert_eq!(run_json(), before);
}

#[test]
fn where_all_snapshots_are_damaged_nothing_begins_anew_unasked() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    go_on(builder(dir.path(), 9, loggers())).unwrap();
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        fs::write(entry.unwrap().path().join("state.json"), "{").unwrap();
    }
    let before = files(dir.path());
    let error = go_on(builder(dir.path(), 0, loggers())).unwrap_err();
    assert!(error.contains("holds no snapshot to go on from; damaged and passed over: "), "{error}");
    assert!(error.contains("000000000004-b (state.json has 1 bytes"), "{error}");
    assert_eq!(files(dir.path()), before);
}

#[test]
fn what_no_snapshot_can_hold_is_told_at_build() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let build = |buffer: Tensor| {
        let vs = nn::VarStore::new(Device::Cpu);
        let fc = nn::linear(vs.root() / "fc", 4, 3, Default::default());
        let _ = vs.root().add("table", buffer, false);
        let runner = Runner::builder(Net::new(vs, fc)).stage(stage()).run_dir(dir.path());
        runner.build().map(|_| ()).map_err(|error| error.to_string())
    };
    let error = build(Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu))).unwrap_err();
    assert!(error.contains("`table` can't be saved in a snapshot and loaded again"), "{error}");
    let row = Tensor::arange(3, (Kind::Float, Device::Cpu));
    let error = build(row.expand([2, 3], false)).unwrap_err();
    assert!(error.contains("`table` can't be saved") && error.contains("`expand`"), "{error}");
    for fine in [
        row.view([3, 1]),
        row.view([1, 3]).transpose(0, 1),
        Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)),
    ] {
        assert_eq!(build(fine), Ok(()));
    }
    // nothing is saved without a run directory
    let vs = nn::VarStore::new(Device::Cpu);
    let fc = nn::linear(vs.root() / "fc", 4, 3, Default::default());
    let _ = vs.root().add("table", row.expand([2, 3], false), false);
    Runner::builder(Net::new(vs, fc)).stage(stage()).build().unwrap();
}
