//! Runs on disk that the tests make, and the program that looks at them.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use catena_record::fs::Os;
use catena_record::retention::Retention;
use catena_record::tensors::{Entry, size_of};
use catena_record::{Snapshot, SnapshotName, Store, TensorFile};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A folder in which the program runs, so that what it prints has no path of this machine.
pub(crate) struct Place(TempDir);

/// What the program printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A tensor to be written: file, name, dtype, shape, bytes.
pub(crate) type Tensor = (&'static str, &'static str, &'static str, Vec<u64>, Vec<u8>);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Runs `catena` with these arguments, split at spaces.
    pub(crate) fn catena(&self, args: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_catena"));
        self.output(command.args(args.split_whitespace()))
    }

    /// Runs a command in this folder.
    pub(crate) fn output(&self, command: &mut Command) -> Output {
        let output = command.current_dir(self.0.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Output { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// As `catena`, with `--json`.
    pub(crate) fn json(&self, args: &str) -> (i32, Value) {
        let Output { status, out, .. } = self.catena(&format!("{args} --json"));
        (status, serde_json::from_str(&out).unwrap())
    }

    /// A run's snapshots, without its lock: a process that another test starts would for a moment have it too, and keep it locked.
    pub(crate) fn store(&self, run: &str) -> Store {
        std::fs::create_dir_all(self.path(run)).unwrap();
        Store::unlocked(&self.path(run), Arc::new(Os)).unwrap()
    }

    /// A run's snapshots, locked as by a run that is going on.
    pub(crate) fn locked(&self, run: &str) -> Store {
        Store::open(&self.path(run), Arc::new(Os)).unwrap()
    }

    /// A run with three snapshots, whose losses are 0.5, 0.25 and 0.75.
    pub(crate) fn run(&self, run: &str) {
        let mut store = self.store(run);
        for (name, loss) in [("000000000010-e", 0.5), ("000000000020-e", 0.25), ("000000000030-e", 0.75)] {
            let weight = [loss as f32, 2.0, 3.0, 4.0, 5.0, 6.0];
            save(&mut store, name, &[("valid/loss", loss), ("valid/accuracy", 1.0 - loss)], model(weight));
        }
    }

    /// Every file below a path, with its content: to see that nothing changed.
    pub(crate) fn content(&self, path: &str) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    found.push((path.clone(), Vec::new()));
                    walk(&path, found);
                } else {
                    found.push((path.clone(), std::fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(path), &mut found);
        found.sort();
        found
    }

    /// Changes the text of a snapshot's manifest, and its hash of itself with it.
    pub(crate) fn rehash(&self, snapshot: &str, from: &str, to: &str) {
        let path = self.path(snapshot).join("manifest.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let (start, end) = (text.len() - 68, text.len() - 4);
        let zeroed = format!("{}{}{}", &text[..start], "0".repeat(64), &text[end..]);
        let changed = zeroed.replacen(from, to, 1);
        assert_ne!(changed, zeroed);
        let hash: String = Sha256::digest(&changed).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(path, changed.replace(&"0".repeat(64), &hash)).unwrap();
    }

    /// Changes one bit in the middle of a file.
    pub(crate) fn flip(&self, path: &str) {
        let path = self.path(path);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
}

/// A model with a weight and a bias, and an optimizer's step.
pub(crate) fn model(weight: [f32; 6]) -> Vec<Tensor> {
    vec![
        ("model.safetensors", "fc.weight", "F32", vec![2, 3], weight.map(f32::to_le_bytes).concat()),
        ("model.safetensors", "fc.bias", "BF16", vec![2], vec![0x80, 0x3f, 0, 0x40]),
        ("optimizer.main.safetensors", "fc.weight.step", "I64", vec![], 7i64.to_le_bytes().to_vec()),
    ]
}

pub(crate) fn save(store: &mut Store, name: &str, measured: &[(&str, f64)], tensors: Vec<Tensor>) {
    // each of them, also those of one batch, which have the same parameters
    let keep_all = Retention { every: Some(1), ..Retention::default() };
    store.save(&snapshot(name, measured, tensors), &keep_all).unwrap();
}

pub(crate) fn snapshot(name: &str, measured: &[(&str, f64)], tensors: Vec<Tensor>) -> Snapshot {
    let name: SnapshotName = name.parse().unwrap();
    let mut files: Vec<TensorFile> = Vec::new();
    let mut buffer = Vec::new();
    for (file, name, dtype, shape, bytes) in tensors {
        assert!(size_of(dtype).is_some());
        let start = buffer.len();
        buffer.extend(bytes);
        let entry = Entry { name: name.into(), dtype: dtype.into(), shape, bytes: start..buffer.len() };
        match files.iter_mut().find(|f| f.name == file) {
            Some(file) => file.tensors.push(entry),
            None => files.push(TensorFile {
                name: file.into(),
                metadata: Default::default(),
                tensors: vec![entry],
            }),
        }
    }
    let state = json!({
        "cursor": { "stage": 0, "epochs": 2, "loader": 0, "open": "stage", "cut_short": false },
        "progress": {
            "global_batch": name.global_batch,
            "global_step": name.global_batch / 2,
            "stopped_by": null,
            "windows": [{ "micro_batches": 0 }],
        },
        "seed": 3,
    });
    Snapshot {
        logs: Default::default(),
        name,
        stage: "train".into(),
        time: "2026-01-02T03:04:05Z".into(),
        why: vec!["1 epoch".into()],
        stopped: false,
        measured: measured.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        state: serde_json::to_vec(&state).unwrap(),
        files,
        buffer,
    }
}
