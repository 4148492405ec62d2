//! Every call to the disk, of everything that a run does with its snapshots, fails in every way and is cut by every crash.
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use catena_record::fs::{FileSystem, Kind};
use catena_record::logs::Mark;
use catena_record::retention::{Goal, KeepBest, Retention};
use catena_record::tensors::Entry;
use catena_record::testing::{Call, Fault, Loss, MemoryFileSystem};
use catena_record::{Error, Loaded, SafePoint, Snapshot, SnapshotName, Store, TensorFile, load};

const LAST_TWO: Retention = Retention { keep_last: 2, best: None, every: None, crashes: 1, superseded: 1 };

/// When the error comes that leaves a folder.
const NOW: &str = "20260101T000000.000Z";

fn name(n: u64) -> SnapshotName {
    SnapshotName { global_batch: n, point: SafePoint::Batch }
}

/// A snapshot whose every file differs from the others' of the same size.
fn snapshot(n: u64) -> Snapshot {
    let entry = |name: &str, dtype: &str, shape: Vec<u64>, bytes| Entry {
        name: name.into(),
        dtype: dtype.into(),
        shape,
        bytes,
    };
    let model = vec![entry("w", "F32", vec![2, 3], 0..24), entry("b", "U8", vec![3], 24..27)];
    let generators = vec![entry("torch", "U8", vec![5], 27..32)];
    let mark = || Mark { bytes: 6, tail: String::new(), columns: None, lost: 0 };
    Snapshot {
        name: name(n),
        logs: ["journal.jsonl", "metrics/valid.csv"].map(|path| (path.to_owned(), mark())).into(),
        stage: "train".into(),
        time: "2026-01-01T00:00:00Z".into(),
        why: vec![format!("{n} batches")],
        measured: [("valid/loss".to_owned(), n as f64)].into(),
        stopped: false,
        state: format!("{{\"n\": {n}}}").into_bytes(),
        files: vec![
            TensorFile {
                name: "model.safetensors".into(),
                metadata: [("a".to_owned(), "text".to_owned())].into(),
                tensors: model,
            },
            TensorFile { name: "rng.safetensors".into(), metadata: Default::default(), tensors: generators },
        ],
        buffer: (0..32).map(|i| i + 32 * n as u8).collect(),
    }
}

/// That it is what was written, to the byte; its number.
fn number(loaded: &Loaded) -> u64 {
    let n = loaded.state["n"].as_u64().unwrap();
    let written = snapshot(n);
    assert_eq!(loaded.path, Path::new("/run/checkpoints").join(name(n).to_string()));
    assert_eq!(loaded.manifest.measured, written.measured);
    assert_eq!(loaded.manifest.why, written.why);
    assert_eq!(loaded.files.len(), 2);
    for TensorFile { name, metadata: _, tensors } in &written.files {
        let read = &loaded.files[name];
        assert_eq!(read.tensors.len(), tensors.len());
        for (read_entry, entry) in read.tensors.iter().zip(tensors) {
            assert_eq!((&read_entry.name, &read_entry.shape), (&entry.name, &entry.shape));
            assert_eq!(read.bytes[read_entry.bytes.clone()], written.buffer[entry.bytes.clone()]);
        }
    }
    n
}

/// What a run does.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Save(u64),
    Crash,
    Apply(usize, bool),
    LoadNewest,
    SetNewerAside(u64),
    Open,
}

/// An operation on what was there, and the snapshots of which one is the newest if it was cut short and if it was not.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    saved: &'static [u64],
    damaged: Option<u64>,
    left_over: bool,
    operation: Operation,
    cut_short: &'static [u64],
    done: u64,
}

const SOUND: Scenario = Scenario {
    saved: &[1, 2, 3],
    damaged: None,
    left_over: false,
    operation: Operation::Open,
    cut_short: &[3],
    done: 3,
};

const SCENARIOS: &[Scenario] = &[
    Scenario { saved: &[], operation: Operation::Save(1), cut_short: &[0, 1], done: 1, ..SOUND },
    Scenario { saved: &[1], operation: Operation::Save(2), cut_short: &[1, 2], done: 2, ..SOUND },
    Scenario { saved: &[1, 2], operation: Operation::Save(3), cut_short: &[2, 3], ..SOUND },
    Scenario { operation: Operation::Save(4), cut_short: &[3, 4], done: 4, ..SOUND },
    Scenario { operation: Operation::Crash, ..SOUND },
    Scenario { operation: Operation::Apply(1, false), ..SOUND },
    Scenario { operation: Operation::Apply(1, true), ..SOUND },
    Scenario { operation: Operation::LoadNewest, ..SOUND },
    Scenario { damaged: Some(3), operation: Operation::LoadNewest, cut_short: &[2], done: 2, ..SOUND },
    Scenario { operation: Operation::SetNewerAside(1), cut_short: &[1, 2, 3], done: 1, ..SOUND },
    Scenario { operation: Operation::SetNewerAside(2), cut_short: &[2, 3], done: 2, ..SOUND },
    Scenario {
        damaged: Some(3),
        operation: Operation::SetNewerAside(1),
        cut_short: &[1, 2],
        done: 1,
        ..SOUND
    },
    Scenario { saved: &[], operation: Operation::Open, cut_short: &[0], done: 0, ..SOUND },
    Scenario { operation: Operation::Open, ..SOUND },
    Scenario { left_over: true, operation: Operation::Open, ..SOUND },
];

fn write(disk: &MemoryFileSystem, path: &str, bytes: &[u8]) {
    let mut file = disk.create(Path::new(path)).unwrap();
    file.write_all(bytes).unwrap();
}

impl Scenario {
    /// The disk before the operation, and the store on it.
    fn start(&self) -> (MemoryFileSystem, Option<Store>) {
        let disk = MemoryFileSystem::default();
        disk.create_folder(Path::new("/run")).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        let mut store = Store::unlocked(Path::new("/run"), Arc::new(disk.clone())).unwrap();
        let everything = Retention { keep_last: 9, ..LAST_TWO };
        for n in self.saved {
            store.save(&snapshot(*n), &everything).unwrap();
        }
        if let Some(n) = self.damaged {
            let file = format!("/run/checkpoints/{}/state.json", name(n));
            disk.remove_file(Path::new(&file)).unwrap();
            write(&disk, &file, b"{\"n\": 8}");
            disk.sync_file(Path::new(&file)).unwrap();
            disk.sync_folder(Path::new(&file).parent().unwrap()).unwrap();
        }
        if self.left_over {
            // a process was killed in a save and in retention, and the machine went on: its renames are not durable
            let folder = "/run/checkpoints/.tmp-000000000004-b";
            disk.create_folder(Path::new(folder)).unwrap();
            write(&disk, &format!("{folder}/state.json"), b"{");
            let gone = "/run/checkpoints/.tmp-000000000001-b.gone";
            let path = store.path(name(1));
            disk.rename(&path, Path::new(gone)).unwrap();
        }
        // logs that nobody made durable so far
        disk.create_folder(Path::new("/run/metrics")).unwrap();
        write(&disk, "/run/journal.jsonl", b"a line\n");
        write(&disk, "/run/metrics/valid.csv", b"a row\n");
        disk.mend();
        let keep = !matches!(self.operation, Operation::Open);
        (disk, keep.then_some(store))
    }

    fn run(&self, disk: &MemoryFileSystem, store: &mut Option<Store>) -> Result<(), Error> {
        let Some(store) = store else {
            return store.insert(open(disk)?).begin();
        };
        match self.operation {
            Operation::Save(n) => store.save(&snapshot(n), &LAST_TWO).map(drop),
            Operation::Crash => store.save_crash(&snapshot(6), NOW, &LAST_TWO).map(drop),
            Operation::Apply(keep_last, best) => {
                let best = best.then(|| KeepBest { k: 1, metric: "valid/loss".into(), goal: Goal::Min });
                store.apply(&Retention { keep_last, best, ..LAST_TWO })
            }
            Operation::LoadNewest => {
                let newest = store.load_newest()?;
                assert_eq!(newest.as_ref().map_or(0, number), self.done);
                store.begin()
            }
            Operation::SetNewerAside(n) => store.set_newer_aside(name(n)),
            Operation::Open => Ok(()),
        }
    }
}

fn open(disk: &MemoryFileSystem) -> Result<Store, Error> {
    Store::unlocked(Path::new("/run"), Arc::new(disk.clone()))
}

fn content(disk: &MemoryFileSystem, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    disk.open(Path::new(path)).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// That the newest is one of these, that all are whole, and that the run goes on.
fn check(disk: &MemoryFileSystem, store: &mut Store, scenario: &Scenario, allowed: &[u64]) {
    let newest = store.load_newest().unwrap().as_ref().map_or(0, number);
    store.begin().unwrap();
    assert!(allowed.contains(&newest), "the newest is {newest}, not one of {allowed:?}");
    let checkpoints = Path::new("/run/checkpoints");
    let mut names = disk.list(checkpoints).unwrap();
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let corrupt: Vec<_> = names.iter().filter(|(name, _)| name.contains("corrupt")).collect();
    assert!(corrupt.len() <= usize::from(scenario.damaged.is_some()), "{corrupt:?}");
    let whole: Vec<_> = names.iter().filter_map(|(name, _)| name.parse().ok()).collect();
    for name in &whole {
        number(&load(disk, &checkpoints.join(SnapshotName::to_string(name))).unwrap());
    }
    let listed: Vec<_> = store.listed().iter().map(|listed| listed.name).collect();
    assert_eq!(listed, whole, "what is listed is what is there");
    let sequences: BTreeMap<u64, SnapshotName> =
        store.listed().iter().map(|listed| (listed.sequence, listed.name)).collect();
    assert_eq!(sequences.len(), listed.len(), "every snapshot has a number of its own");
    if let (Operation::Save(n), true) = (scenario.operation, newest > 0) {
        // the logs were made durable before it
        if newest == n {
            assert_eq!(content(disk, "/run/journal.jsonl"), b"a line\n");
            assert_eq!(content(disk, "/run/metrics/valid.csv"), b"a row\n");
        }
    }
    store.save(&snapshot(7), &LAST_TWO).unwrap();
    disk.restart(Loss::EVERYTHING);
    let mut store = open(disk).unwrap();
    assert_eq!(number(&store.load_newest().unwrap().unwrap()), 7);
    store.begin().unwrap();
    let left = disk.list(checkpoints).unwrap();
    assert!(left.iter().all(|(name, _)| !name.starts_with(".tmp-")), "left-overs: {left:?}");
    assert!(left.iter().all(|(_, kind)| *kind == Kind::Folder));
}

/// The faults that can happen to a call.
fn faults(call: &Call) -> Vec<Fault> {
    let kinds = [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::PermissionDenied];
    let mut faults: Vec<Fault> = kinds.map(Fault::Fail).into();
    faults.extend(kinds.map(Fault::Broken));
    faults.extend([Fault::CrashBefore, Fault::CrashAfter]);
    if matches!(call.what, "write" | "sync" | "sync_file" | "sync_folder") {
        faults.extend(kinds.map(Fault::Late));
    }
    if matches!(call.what, "write" | "read") {
        faults.push(Fault::Short);
    }
    if call.what == "write" {
        faults.push(Fault::CrashAmid);
    }
    faults
}

/// Runs a scenario with a fault, and then with a crash or without.
fn case(scenario: &Scenario, number: usize, fault: Option<Fault>, loss: Option<Loss>) {
    let (disk, mut store) = scenario.start();
    if let Some(fault) = fault {
        disk.plan(number, fault);
    }
    let result = scenario.run(&disk, &mut store);
    let (done, ok) = ([scenario.done], result.is_ok());
    let allowed = if ok { &done } else { scenario.cut_short };
    if let Err(error) = result {
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(fault.is_some_and(|fault| fault != Fault::Short), "{error}");
    }
    let Some(loss) = loss else {
        // the process goes on: the same works now
        disk.mend();
        if !matches!(scenario.operation, Operation::Crash) {
            scenario.run(&disk, &mut store).unwrap();
        }
        return check(&disk, &mut store.unwrap(), scenario, &done);
    };
    disk.restart(loss);
    let crash = load(&disk, &Path::new("/run/crash").join(NOW));
    match (scenario.operation, ok) {
        (Operation::Crash, true) => assert_eq!(crash.unwrap().state["n"], 6),
        _ => assert!(crash.map_or(true, |loaded| loaded.state["n"] == 6), "it is whole or not there"),
    }
    check(&disk, &mut open(&disk).unwrap(), scenario, allowed);
}

#[test]
fn after_any_fault_at_any_call_the_newest_snapshot_or_the_one_before_is_there_and_whole() {
    let (mut cases, mut calls_made) = (0, 0);
    let mut wrong = Vec::new();
    let mut failed = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for scenario in SCENARIOS {
        let sound = std::panic::catch_unwind(|| {
            let (disk, mut store) = scenario.start();
            scenario.run(&disk, &mut store).unwrap();
            disk.calls()
        });
        let calls = sound.unwrap_or_default();
        if calls.is_empty() {
            wrong.push(format!("{scenario:?} does not work without a fault"));
        }
        calls_made += calls.len();
        let planned = calls.iter().enumerate();
        let planned =
            planned.flat_map(|(n, call)| faults(call).into_iter().map(move |f| (n, Some(call), Some(f))));
        for (n, call, fault) in std::iter::once((0, None, None)).chain(planned) {
            let crashes = matches!(fault, Some(Fault::CrashBefore | Fault::CrashAmid | Fault::CrashAfter));
            let goes_on = (!crashes).then_some(None);
            for loss in Loss::all().map(Some).chain(goes_on) {
                cases += 1;
                let result = std::panic::catch_unwind(|| case(scenario, n, fault, loss));
                if let Err(panic) = result {
                    failed += 1;
                    let why = panic.downcast_ref::<String>().cloned();
                    let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
                    wrong.push(format!(
                        "{:?} on {:?}: call {n} {call:?}, {fault:?}, {loss:?}: {}",
                        scenario.operation,
                        scenario.saved,
                        why.unwrap_or_default()
                    ));
                }
            }
        }
    }
    drop(std::panic::take_hook());
    println!("{cases} cases at {calls_made} calls of {} operations", SCENARIOS.len());
    wrong.truncate(if std::env::var_os("FAULTS_ALL").is_some() { usize::MAX } else { 20 });
    assert!(wrong.is_empty(), "{failed} of {cases} cases, such as\n{}", wrong.join("\n"));
    assert!(cases > 30_000, "{cases}");
}
