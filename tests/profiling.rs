//! Whole runs that are watched: what is written of their time, memory and waiting, and that nothing else changes.
use std::collections::BTreeMap;
use std::path::Path;

use catena::callbacks::{HostSyncs, MemoryInUse, Rates, Summary, Timings};
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::data::{LoaderDescription, Start};
use catena::tensor::rng::Exclusive;
use serde_json::Value;

fn rows(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("timing.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stage() -> Stage {
    Stage::new("train")
        .epochs(3)
        .train(tiny_loader(23, 3))
        .valid(tiny_loader(6, 2))
        .loss(CrossEntropy::new())
        .optimizer(AdamW::new(1e-2))
}

/// Waits before each batch, as a slow disk does.
struct Slow<L>(L);

impl<L: Loader> Loader for Slow<L> {
    fn batches(&self) -> Option<u64> {
        self.0.batches()
    }
    fn start(&mut self, start: Start) -> catena::Result<()> {
        self.0.start(start)
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        std::thread::sleep(std::time::Duration::from_millis(20));
        self.0.next_batch()
    }
    fn describe(&self) -> LoaderDescription {
        self.0.describe()
    }
}

#[test]
fn a_run_directory_has_rows_of_throughput_beside_those_of_snapshots() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let mut runner = Runner::builder(tiny_model())
        .stage(stage())
        .callback(Checkpoint::new().synchronous())
        .callback(MemoryUse::new())
        .run_dir(dir.path())
        .build()
        .unwrap();
    runner.run().unwrap();
    let rows = rows(dir.path());
    let of = |key: &str| rows.iter().filter(|row| row.get(key).is_some()).collect::<Vec<_>>();
    assert!(rows.iter().all(|row| row["time"].is_string()));
    assert!(of("snapshot").len() >= 6, "a stall and a write of each: no writer cuts off the other's lines");
    let of_loader =
        |name: &str| of("throughput").into_iter().filter(|row| row["loader"] == name).collect::<Vec<_>>();
    assert_eq!((of_loader("train").len(), of_loader("valid").len()), (3, 3));
    for (row, batches) in of_loader("train").into_iter().zip([8, 16, 24]) {
        let number = |value: &Value| value.as_f64().unwrap();
        let seconds = number(&row["seconds"]);
        assert_eq!(row["global_batch"], batches);
        assert!((number(&row["throughput"]["samples"]) * seconds - 23.0).abs() < 1e-6);
        assert!((number(&row["throughput"]["batches"]) * seconds - 8.0).abs() < 1e-6);
        assert!((0.0..=1.0).contains(&number(&row["data_wait"])));
    }
    if cfg!(target_os = "linux") {
        let memory = &of("memory")[0]["memory"];
        assert!(memory["resident"].as_u64().unwrap() > 1 << 20 && memory.get("device").is_none());
        assert!(runner.driver().context().ext.get::<MemoryInUse>().unwrap().process.is_some());
    }
    let metrics = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    assert!(
        !metrics.contains("seconds") && !metrics.contains("memory"),
        "no clock in metric files: {metrics}"
    );
}

#[test]
fn a_slow_loader_is_seen_in_the_share_of_waiting() {
    let _exclusive = Exclusive::wait();
    let stage = Stage::new("train")
        .train(Slow(tiny_loader(20, 4)))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1));
    let mut runner = Runner::builder(tiny_model()).stage(stage).callback(Throughput::new()).build().unwrap();
    runner.run().unwrap();
    let rates = runner.driver().context().ext.get::<Rates>().unwrap();
    assert!(rates.seconds * rates.data_wait >= 0.12, "six times 20 ms, the end included: {rates:?}");
    assert!(rates.data_wait <= 1.0 && rates.samples < 20.0 / 0.12, "{rates:?}");
}

/// When it begins, when it ends, and its name.
type Slice<'a> = (f64, f64, &'a str);

/// What every reader of the trace event format relies on, and what makes slices of a track a tree.
fn check_trace(trace: &Value) -> BTreeMap<String, usize> {
    assert!(trace["displayTimeUnit"] == "ms" && trace["otherData"].is_object());
    let mut tracks: BTreeMap<(u64, u64), Vec<Slice<'_>>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for event in trace["traceEvents"].as_array().unwrap() {
        let name = event["name"].as_str().unwrap();
        let (pid, tid) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        assert!(event["cat"].is_string() && event["args"].is_object());
        match event["ph"].as_str().unwrap() {
            "M" => {
                assert!(["process_name", "thread_name"].contains(&name), "{name}");
                assert!(event["args"]["name"].is_string());
            }
            "X" => {
                let (ts, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
                assert!(ts >= 0.0 && dur >= 0.0);
                tracks.entry((pid, tid)).or_default().push((ts, ts + dur, name));
                *counts.entry(name.to_owned()).or_default() += 1;
            }
            other => panic!("an event of kind {other}"),
        }
    }
    for slices in tracks.values_mut() {
        slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut open: Vec<Slice<'_>> = Vec::new();
        for &(begin, end, name) in slices.iter() {
            open.retain(|outer| outer.1 > begin);
            if let Some(outer) = open.last() {
                // nanoseconds as microseconds
                assert!(end <= outer.1 + 1e-3, "{name} ends after {} that holds it", outer.2);
            }
            open.push((begin, end, name));
        }
    }
    counts
}

#[test]
fn a_timeline_is_a_table_and_a_trace_in_which_slices_lie_in_each_other() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let ask = on(Event::BatchEnd, |cx| {
        if cx.is_train() && cx.global_batch() == 5 {
            cx.request_evaluation("valid");
            cx.request_snapshot("the test");
        }
        Ok(Flow::GO)
    });
    let builder = Runner::builder(tiny_model()).stage(stage().callback(ask)).callback(Timeline::new());
    let mut runner = builder.run_dir(dir.path()).build().unwrap();
    runner.run().unwrap();

    let timings = runner.driver().context().ext.get::<Timings>().unwrap();
    let calls = |event: &str, callback: &str, loader: &str| {
        let is_it = |row: &&catena::callbacks::Timing| {
            row.event == event && row.callback == callback && row.loader == loader
        };
        timings.rows().iter().find(is_it).map_or(0, |row| row.calls)
    };
    // three epochs of 8 and of 3 batches, and one evaluation more
    assert_eq!(calls("forward", "Forward", "train"), 24);
    assert_eq!(calls("forward", "Forward", "valid"), 12);
    assert_eq!(calls("step", "Optimize", "train"), 24);
    // and the end of each loader
    assert_eq!((calls("data", "", "train"), calls("data", "", "valid")), (27, 16));
    assert_eq!((calls("evaluation", "", "train"), calls("snapshot", "", "train")), (1, 1));
    assert!(timings.rows().iter().all(|row| row.longest <= row.total && row.total <= timings.whole()));
    let text = timings.to_string();
    assert_eq!(text.lines().count(), timings.rows().iter().filter(|row| row.calls > 0).count() + 1, "{text}");

    let trace = serde_json::from_slice(&std::fs::read(dir.path().join("trace.json")).unwrap()).unwrap();
    let counts = check_trace(&trace);
    assert_eq!((counts["batch"], counts["train"], counts["valid"], counts["run"]), (36, 3, 4, 1));
    assert_eq!((counts["Backward"], counts["evaluation"], counts["snapshot"]), (24, 1, 1));
    let rows = rows(dir.path());
    let row = rows.iter().find(|row| row.get("timings").is_some()).unwrap();
    assert!(row["timings"].as_array().unwrap().iter().any(|row| row["callback"] == "Criterion"));
}

#[test]
fn watchers_of_a_stage_tell_of_that_stage() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let watched = |name: &str| {
        let loader = tiny_loader(23, 3);
        let stage = Stage::new(name).train(loader).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
        stage.callback(Timeline::new()).callback(SyncAudit::new())
    };
    let builder = Runner::builder(tiny_model()).stage(watched("a")).stage(watched("b"));
    builder.run_dir(dir.path()).build().unwrap().run().unwrap();
    for name in ["trace-stage-0.json", "trace-stage-1.json"] {
        let trace = serde_json::from_slice(&std::fs::read(dir.path().join(name)).unwrap()).unwrap();
        let counts = check_trace(&trace);
        assert_eq!((counts["stage"], counts["Backward"]), (1, 8), "{name}");
    }
    let rows = rows(dir.path());
    let of = |key: &str| rows.iter().filter(|row| row.get(key).is_some()).count();
    assert_eq!((of("timings"), of("syncs")), (2, 2));
}

#[test]
fn a_resumed_run_leaves_the_trace_before_it_and_goes_on_in_timing_jsonl() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let run = |epochs| {
        let builder = Runner::builder(tiny_model()).stage(stage().epochs(epochs)).allow("epochs");
        builder.callback(Checkpoint::new()).callback(Timeline::new()).run_dir(dir.path()).build().unwrap()
    };
    run(2).run().unwrap();
    let (before, first) = (rows(dir.path()).len(), std::fs::read(dir.path().join("trace.json")).unwrap());
    run(3).resume(Resume::Latest).unwrap();
    assert_eq!(std::fs::read(dir.path().join("trace.json")).unwrap(), first);
    let second = serde_json::from_slice(&std::fs::read(dir.path().join("trace-2.json")).unwrap()).unwrap();
    assert_eq!(check_trace(&second)["Backward"], 8);
    let rows = rows(dir.path());
    assert!(rows.len() > before);
    let train = rows.iter().filter(|row| row["loader"] == "train");
    assert_eq!(train.map(|row| row["global_batch"].as_u64().unwrap()).collect::<Vec<_>>(), [8, 16, 24]);
}

#[test]
fn an_audit_names_who_reads_numbers_and_a_plain_run_reads_only_when_loaders_end() {
    let _exclusive = Exclusive::wait();
    // libtorch's Adam reads its steps on the CPU
    let audit = |stage: Stage| {
        let stage = stage.optimizer(Sgd::new(0.1));
        let mut runner =
            Runner::builder(tiny_model()).stage(stage).callback(SyncAudit::new()).build().unwrap();
        runner.run().unwrap();
        runner.driver().context().ext.get::<HostSyncs>().unwrap().clone()
    };
    let plain = audit(stage());
    // 24 losses of training and 9 of evaluations, read when their loader ends and nobody's hook is running
    assert!(plain.rows.iter().all(|row| row.callback.is_empty()), "{plain}");
    assert_eq!(plain.rows.iter().map(|row| row.syncs.scalars).sum::<u64>(), 33, "{plain}");
    let guarded = audit(stage().callback(NanGuard::new()));
    let guard = guarded.rows.iter().find(|row| row.callback == "NanGuard").unwrap();
    assert_eq!((guard.event.as_str(), guard.syncs.scalars), ("loss", 24), "{guarded}");
    assert_eq!(guarded.batches, 24);
}

#[test]
fn frozen_layers_are_seen_in_the_summary_of_their_stage() {
    let _exclusive = Exclusive::wait();
    let stage = stage().freeze("fc.bias").callback(ModelSummary::new());
    let mut runner = Runner::builder(tiny_model()).stage(stage).build().unwrap();
    runner.run().unwrap();
    let summary = runner.driver().context().ext.get::<Summary>().unwrap();
    assert_eq!((summary.parameters(), summary.trainable(), summary.bytes()), (15, 12, 60));
}
