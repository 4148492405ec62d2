//! The oracle of the resume tests sees everything: each leaf of a snapshot's state and each of its tensors is changed in turn, and
//! the run must refuse it or end differently.
mod common;
#[path = "common/resumable.rs"]
mod resumable;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use catena::chain::Every;
use catena::prelude::*;
use catena::record::tensors::{parse, size_of};
use catena::tensor::rng::Exclusive;
use resumable::{Ended, builder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What may change without a trace, and why.
const HARMLESS: [(&str, &str); 23] = [
    ("/time", "says when, for people"),
    ("/why/", "says who asked, for people"),
    ("/stage_name", "names the stage for lists of snapshots; the number counts"),
    ("/measured", "chooses which snapshots are kept, not what is computed"),
    ("/run/machine/", "differences of machine and version are logged, not refused"),
    ("/progress/loader_samples", "told on the console at the loader's end only"),
    ("/progress/skipped_by", "names who skipped the last step; the next batch clears it"),
    ("/progress/outcome", "of the last step; the next pass begins with its own"),
    ("/progress/steps_before", "as the outcome"),
    ("/progress/pass", "the next pass sets its own"),
    ("/progress/window/", "what end events are told; the next pass takes its own from `windows`"),
    ("/progress/windows/0/held", "the next pass releases it"),
    ("/progress/cut_short", "set again by whatever ends next"),
    ("/cursor/cut_short", "set again by whatever ends next"),
    ("/progress/metrics/ended_at/", "chooses what is said to be measured of just these parameters"),
    ("/optimizers/main/groups/0/initial/beta", "needed by a schedule of it only, and there is none"),
    ("/optimizers/main/groups/0/initial/eps", "needed by a schedule of it only, and there is none"),
    ("/run/stages/0/loaders/1/", "other data for evaluations is logged, not refused"),
    ("/run/stages/1/loaders/1/", "other data for evaluations is logged, not refused"),
    ("/run/stages/0/loaders/0/batches", "stands in the loader's own description, or follows from it"),
    ("/run/stages/1/loaders/0/batches", "stands in the loader's own description, or follows from it"),
    (
        "/progress/last_weight",
        "of a window that a loader's end closes: here the last batch is known and closes it",
    ),
    ("/point", "tells the snapshots of one batch apart; the cursor counts"),
];

/// The same, by how a leaf's place ends.
const HARMLESS_ENDS: [(&str, &str); 4] = [
    ("/last", "the last value alone, for bars that ask for it"),
    ("/count", "only a minimum's and a maximum's first value needs it"),
    ("/phase", "a callback is found by its key, and its place by the order"),
    ("/reduce/mean_by", "the weight stands beside each value"),
];

/// Tensors of callbacks, by how their names end.
const HARMLESS_TENSORS: [(&str, &str); 4] = [
    ("/nan_rows.low", "how many rows had a NaN, for a warning"),
    ("/nan_rows.high", "how many rows had a NaN, for a warning"),
    ("/label.value", "the first label that no class is, for the error"),
    ("/classes.value", "how many classes there were at that label, for the error"),
];

/// Snapshots in the middle of a window, at ends of epochs, in the last epoch, at the end: a leaf must count in one of them.
const SNAPSHOTS: [&str; 6] = [
    "000000000007-b",
    "000000000011-b",
    "000000000015-e",
    "000000000022-b",
    "000000000023-e",
    "000000000023-z",
];

fn is_harmless(state: &Value, pointer: &str) -> bool {
    // a callback that only looks may come and go
    let looks = |callback: &Value| callback["effect"] == "looks";
    let of = |start: &str| {
        pointer.strip_prefix(start).and_then(|rest| rest.split('/').next()?.parse::<usize>().ok())
    };
    let chain = state["run"]["chain"].as_array().unwrap();
    let has_state_of_who_looks = of("/callbacks/").is_some_and(|i| {
        let key = &state["callbacks"][i]["key"];
        pointer.ends_with("/key") && chain.iter().any(|callback| callback["key"] == *key && looks(callback))
    });
    // a callback is found by its key: these are read for messages, and where settings differ (tests/refusals.rs)
    let is_told_only = of("/run/chain/").is_some()
        && (["/name", "/note", "/stage"].iter().any(|end| pointer.ends_with(end))
            || pointer.contains("/writes/"));
    of("/run/chain/").is_some_and(|i| looks(&chain[i]))
        || has_state_of_who_looks
        // how often a metric was measured: who watches one compares it with what it has judged
        || (pointer.starts_with("/progress/metrics/measurements/") && !pointer.ends_with("/valid~1loss"))
        || is_told_only
        || HARMLESS.iter().any(|(start, _)| pointer.starts_with(start))
        || HARMLESS_ENDS.iter().any(|(end, _)| pointer.ends_with(end))
        // whether a callback's tensor was on the run's device: it has one device here
        || pointer.starts_with("/callbacks/") && pointer.contains("/tensors/") && pointer.ends_with("/1")
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new()
        .every(Every::Batches(11))
        .every(Every::Batches(7))
        .every(Every::Epochs(1))
        // also those of one batch, of which the newest would stand for all
        .keep_every(1)
}

/// Copies a run, with this one of its snapshots.
fn copy(from: &Path, to: &Path, snapshot: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(path, to).unwrap();
        } else if entry.file_name() != "checkpoints" {
            copy(&path, &to, snapshot)
        } else {
            copy(&path.join(snapshot), &to.join(snapshot), snapshot)
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file of a snapshot, and its manifest so that every hash is right again.
fn replace(snapshot: &Path, file: &str, bytes: &[u8]) {
    fs::write(snapshot.join(file), bytes).unwrap();
    let at = snapshot.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&at).unwrap()).unwrap();
    manifest["files"][file] = json!({ "size": bytes.len(), "sha256": hex(bytes) });
    let own = manifest["sha256"].as_str().unwrap().to_owned();
    // the fields stand in the order in which they were written
    let before = fs::read_to_string(&at).unwrap();
    let start = before.find(&format!("\"{file}\"")).unwrap();
    let end = start + before[start..].find('}').unwrap();
    let entry = format!(
        "\"{file}\": {{\n      \"size\": {},\n      \"sha256\": \"{}\"\n    ",
        bytes.len(),
        hex(bytes)
    );
    let text = format!("{}{entry}{}", &before[..start], &before[end..]);
    let zeros = "0".repeat(64);
    let text = text.replace(&own, &zeros);
    let hash = hex(text.as_bytes());
    let place = text.rfind(&zeros).unwrap();
    fs::write(&at, format!("{}{hash}{}", &text[..place], &text[place + 64..])).unwrap();
}

/// Every leaf of a value, as a pointer.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| {
                leaves(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found)
            });
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(i, value)| leaves(value, &format!("{at}/{i}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Other values of the same kind: more and less, where there is such a thing.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(1)],
        Value::Bool(it) => vec![json!(!it)],
        Value::Number(n) if n.is_f64() => {
            let number = n.as_f64().unwrap();
            vec![json!(number + 0.125), json!(number - 100.0)]
        }
        Value::Number(n) => {
            let number = n.as_u64().unwrap();
            [Some(number + 1), number.checked_sub(1)].into_iter().flatten().map(|n| json!(n)).collect()
        }
        Value::String(text) => vec![match text.as_str() {
            "loader" | "ended" => json!("epoch"),
            "none" => json!("run"),
            text if text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                json!(format!("{:016x}", u64::from_str_radix(text, 16).unwrap() ^ 1))
            }
            text => json!(format!("{text}x")),
        }],
        Value::Array(_) => vec![json!(["valid"])],
        Value::Object(_) => vec![json!({ "x": 1 })],
    }
}

/// How a run that goes on from the snapshot ends; an error if it refuses.
fn end(original: &Path, snapshot: &str, change: impl FnOnce(&Path)) -> Result<Ended, String> {
    let dir = tempfile::tempdir().unwrap();
    copy(original, dir.path(), snapshot);
    let at = dir.path().join("checkpoints").join(snapshot);
    change(&at);
    let mut runner = builder(dir.path(), checkpoint()).build().map_err(|error| error.to_string())?;
    let report = runner.resume(Resume::Path(at)).map_err(|error| error.to_string())?;
    Ok(Ended::of(&runner, &report, dir.path()))
}

#[test]
fn each_leaf_of_the_state_and_each_tensor_counts() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let mut runner = builder(dir.path(), checkpoint()).build().unwrap();
    let report = runner.run().unwrap();
    let expected = Ended::of(&runner, &report, dir.path());
    drop(runner);

    let (mut seen, mut unseen) = (BTreeSet::new(), BTreeMap::new());
    for name in SNAPSHOTS {
        // only this snapshot is there to go on from, so others are kept
        let unchanged = end(dir.path(), name, |_| ()).unwrap();
        assert_eq!(unchanged.differences(&expected), ["kept snapshots"], "{name}");
        let mut judge = |what: String, was: String, ended: Result<Ended, String>| match ended {
            Ok(ended) if ended == unchanged => drop(unseen.insert(what, was)),
            Err(error) if error.contains("is damaged") => panic!("{what}: {error}"),
            _ => drop(seen.insert(what)),
        };
        let snapshot = dir.path().join("checkpoints").join(name);
        let state: Value = serde_json::from_slice(&fs::read(snapshot.join("state.json")).unwrap()).unwrap();
        let mut pointers = Vec::new();
        leaves(&state, "", &mut pointers);
        for pointer in pointers.iter().filter(|pointer| !is_harmless(&state, pointer)) {
            let leaf = state.pointer(pointer).unwrap();
            for other in others(leaf) {
                let mut changed = state.clone();
                *changed.pointer_mut(pointer).unwrap() = other;
                let bytes = serde_json::to_vec_pretty(&changed).unwrap();
                let ended = end(dir.path(), name, |at| replace(at, "state.json", &bytes));
                judge(pointer.clone(), leaf.to_string(), ended);
            }
        }
        let files =
            fs::read_dir(&snapshot).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for file in files.filter(|file| file.ends_with(".safetensors")) {
            let bytes = fs::read(snapshot.join(&file)).unwrap();
            for entry in parse(&bytes).unwrap() {
                if entry.bytes.is_empty() {
                    continue;
                }
                let (range, each) = (entry.bytes, usize::try_from(size_of(&entry.dtype).unwrap()).unwrap());
                let elements = range.len() / each;
                let mut flip = |elements: Range<usize>| {
                    let mut changed = bytes.clone();
                    elements.for_each(|element| changed[range.start + (element + 1) * each - 1] ^= 1);
                    let ended = end(dir.path(), name, |at| replace(at, &file, &changed));
                    judge(format!("{file}: {}", entry.name), "a bit".into(), ended);
                };
                flip(0..1);
                if entry.name == "cpu" && elements > 5000 {
                    // words 500 to 507 of the Mersenne twister: later batches draw them
                    flip(24 + 8 * 500..24 + 8 * 508);
                }
            }
        }
    }
    unseen.retain(|what, _| {
        !seen.contains(what) && !HARMLESS_TENSORS.iter().any(|(end, _)| what.ends_with(end))
    });
    assert!(unseen.is_empty(), "changed without a trace:\n{unseen:#?}");
    assert!(seen.len() > 200, "{}", seen.len());
}
