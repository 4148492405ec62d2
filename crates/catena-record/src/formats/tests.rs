//! `docs/formats.md` against the types: its examples are what they write, and its tables name each of their fields.
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::journal::JournalRow;
use super::manifest::{Manifest, ManifestFile};
use super::metrics::{Metrics, MetricsRow};
use super::run::{
    CallbackDescription, Description, EndedStage, LoaderSettings, Machine, PassDescription, RunFile,
    StageDescription, StageLoaderDescription, StoppedBy, StoppedStage, Write,
};
use super::state::StateFile;
use super::timing::{CallbackTime, DeviceMemory, MemoryRow, SyncCounts, Throughput, TimingRow};
use super::{journal, manifest, metrics, run, state, timing};
use crate::float;
use crate::listed::Listed;
use crate::logs::Mark;

const PAGE: &str = include_str!("../../../../docs/formats.md");

/// What the page says of a file.
fn section(file: &str) -> &'static str {
    let start = PAGE.find(&format!("\n## {file}\n")).unwrap_or_else(|| panic!("{file} has no section"));
    let rest = &PAGE[start + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// The example of a file.
fn example(file: &str) -> &'static str {
    let (_, rest) = section(file).split_once("```json\n").unwrap_or_else(|| panic!("{file} has no example"));
    rest.split_once("```").unwrap_or_else(|| panic!("{file}'s example has no end")).0
}

#[test]
fn every_example_is_what_its_type_writes() {
    let mut lines = 0;
    let mut is_equal = |line: &str, written: String| {
        assert_eq!(written, line);
        lines += 1;
    };
    for line in example(journal::NAME).lines() {
        let row: JournalRow = serde_json::from_str(line).unwrap();
        is_equal(line, serde_json::to_string(&row).unwrap());
    }
    for line in example(metrics::NAME).lines() {
        let row: MetricsRow = serde_json::from_str(line).unwrap();
        is_equal(line, serde_json::to_string(&row).unwrap());
    }
    for line in example(timing::NAME).lines() {
        let row: TimingRow = serde_json::from_str(line).unwrap();
        assert!(row.others.is_empty(), "{line}");
        is_equal(line, row.to_line().unwrap());
    }
    assert_eq!(lines, 11);
    let file: RunFile = serde_json::from_str(example(run::NAME)).unwrap();
    assert_eq!(file.to_text().unwrap(), example(run::NAME));
    let contents = Manifest::from_bytes(example(manifest::NAME).as_bytes()).unwrap().unwrap();
    assert_eq!(String::from_utf8(contents.to_bytes().unwrap()).unwrap(), example(manifest::NAME));
    let state: StateFile = serde_json::from_str(example(state::NAME)).unwrap();
    assert_eq!(serde_json::to_string_pretty(&state).unwrap() + "\n", example(state::NAME));
}

/// The names of all fields of a value and of those in it.
fn fields(value: &impl Serialize) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                found.insert(name.clone());
                collect(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(&float::to_value(value).unwrap(), &mut found);
    found
}

/// The names in the first columns of a file's tables.
fn named(file: &str) -> BTreeSet<String> {
    let rows = section(file).lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once("` |")?.0.to_owned())).collect()
}

// each type is written out with all its fields, so that a new field does not compile here until the page has it

fn whole_run() -> RunFile {
    let (name, none) = (String::new, || Some(String::new()));
    let stopped = StoppedStage { by: name(), why: none() };
    let loader = StageLoaderDescription {
        name: name(),
        mode: name(),
        batches: None,
        data: Some(LoaderSettings { kind: name(), settings: BTreeMap::new() }),
    };
    let stage = StageDescription {
        name: name(),
        epochs: 0,
        loaders: vec![loader],
        passes: vec![PassDescription { name: name(), params: name(), optimizer: Value::Null }],
        frozen: Vec::new(),
        frozen_parameters: vec![name()],
        start_from: "".into(),
    };
    let callback = CallbackDescription {
        key: name(),
        name: name(),
        stage: None,
        phase: name(),
        effect: run::ACTS.into(),
        adapters: vec![name()],
        writes: vec![Write { setting: name(), group: None, stage: None, how: name() }],
        note: name(),
        settings: "".into(),
    };
    let (catena, libtorch, device, cpu_capability) = (name(), name(), name(), name());
    RunFile {
        status: name(),
        started: None,
        ended: None,
        stages: vec![EndedStage { stage: name(), epoch: 0, epochs: 0, stopped: Some(stopped) }],
        run: Description {
            seed: 0,
            world_size: 1,
            stages: vec![stage],
            chain: vec![callback],
            machine: Machine {
                catena,
                libtorch,
                device,
                threads: 0,
                cpu_capability,
                fused: Some(true),
                gemm: Some("catena".into()),
            },
        },
        stopped_by: Some(StoppedBy { callback: name(), why: None }),
        error: none(),
    }
}

fn whole_timing() -> TimingRow {
    let (name, number) = (String::new, Some(0.0));
    let others = serde_json::Map::new;
    let device = DeviceMemory { allocated: 0, reserved: 0, peak: 0 };
    TimingRow {
        time: name(),
        global_batch: Some(0),
        loader: Some(name()),
        seconds: number,
        throughput: Some(Throughput { batches: number, samples: number, tokens: number, others: others() }),
        data_wait: number,
        memory: Some(MemoryRow { resident: Some(0), peak: Some(0), device: Some(device), others: others() }),
        timings: Some(vec![CallbackTime {
            event: name(),
            callback: name(),
            loader: name(),
            calls: Some(0),
            seconds: number,
            longest: number,
        }]),
        syncs: Some(vec![SyncCounts { event: name(), callback: name(), scalars: 0, copies: 0, sizes: 0 }]),
        snapshot: Some(name()),
        stall: number,
        wait: number,
        share: number,
        bytes: Some(0),
        write: number,
        others: others(),
    }
}

fn whole_manifest() -> BTreeSet<String> {
    let (name, sequence) = ("000000000001-b".parse().unwrap(), 1);
    let listed = Listed { name, sequence, stage: String::new(), measured: BTreeMap::new(), stopped: true };
    let mut contents = Manifest::new(listed, String::new(), Vec::new());
    let mark = Mark { bytes: 0, tail: String::new(), columns: Some(1), lost: 1 };
    let of_parts = [fields(&mark), fields(&ManifestFile { size: 0, sha256: String::new() })];
    contents.logs.insert("a log".into(), mark);
    let mut all = fields(&contents);
    all.remove("a log");
    all.extend(of_parts.into_iter().flatten());
    all
}

#[test]
fn the_tables_name_each_field_and_no_other() {
    let row = JournalRow {
        stage: "".into(),
        epoch: 0,
        global_batch: 0,
        global_step: 0,
        outcome: Some("".into()),
        ids: "".into(),
        lr: Some(0.0),
        loss: Some(0.0),
        grad_norm: Some(0.0),
        params: Some("".into()),
    };
    assert_eq!(named(journal::NAME), fields(&row));
    let row = MetricsRow {
        stage: "".into(),
        epoch: 0,
        loader: "".into(),
        scope: Some("".into()),
        batch: Some(1),
        global_step: 0,
        global_batch: 0,
        metrics: Metrics::default(),
    };
    assert_eq!(named(metrics::NAME), fields(&row));
    assert_eq!(named(run::NAME), fields(&whole_run()));
    assert_eq!(named(timing::NAME), fields(&whole_timing()));
    assert_eq!(named(manifest::NAME), whole_manifest());
    let (cursor, progress) = (serde_json::Map::new(), serde_json::Map::new());
    assert_eq!(named(state::NAME), fields(&StateFile { cursor, progress, shared: vec![Vec::new()] }));
}
