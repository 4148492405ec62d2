//! Snapshots that somebody or something changed: the damage has a name, and the one before is loaded. No bytes make it panic.
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catena_record::fs::{FileSystem, Os};
use catena_record::retention::Retention;
use catena_record::tensors::{self, Entry, Metadata};
use catena_record::testing::{Fault, MemoryFileSystem};
use catena_record::{
    Damage, Error, SafePoint, Snapshot, SnapshotName, Store, TensorData, TensorFile, verify,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const FILES: [&str; 3] = ["manifest.json", "model.safetensors", "state.json"];

fn snapshot(n: u64) -> Snapshot {
    let entry = |name: &str, bytes| Entry { name: name.into(), dtype: "F32".into(), shape: vec![2], bytes };
    Snapshot {
        logs: Default::default(),
        name: SnapshotName { global_batch: n, point: SafePoint::Batch },
        stage: "train".into(),
        time: "2026-01-01T00:00:00Z".into(),
        why: vec!["a test".into()],
        measured: [("valid/loss".to_owned(), n as f64)].into(),
        stopped: false,
        state: format!("{{\"n\": {n}}}").into_bytes(),
        files: vec![TensorFile {
            name: "model.safetensors".into(),
            metadata: Metadata::new(),
            tensors: vec![entry("a", 0..8), entry("b", 8..16)],
        }],
        buffer: vec![n as u8; 16],
    }
}

/// A run with two snapshots; the folders of the older and of the newer.
fn run() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), Arc::new(Os)).unwrap();
    for n in [1, 2] {
        store.save(&snapshot(n), &Retention::default()).unwrap();
    }
    let checkpoints = dir.path().join("checkpoints");
    (dir, checkpoints.join("000000000001-b"), checkpoints.join("000000000002-b"))
}

fn damage(path: &Path) -> Option<Damage> {
    match verify(&Os, path) {
        Ok(_) => None,
        Err(Error::Damaged { path: at, damage }) => {
            assert_eq!(at, path);
            Some(damage)
        }
        Err(error) => panic!("{error}"),
    }
}

/// That the newer one has this damage, is set aside, and that the older one is loaded.
fn falls_back(dir: &TempDir, newer: &Path, expected: &Damage) {
    assert_eq!(damage(newer).as_ref(), Some(expected));
    let mut store = Store::open(dir.path(), Arc::new(Os)).unwrap();
    let loaded = store.load_newest().unwrap().unwrap();
    assert_eq!(loaded.state["n"], 1, "{expected}");
    assert_eq!(loaded.files["model.safetensors"].bytes.last(), Some(&1));
    assert!(fs::symlink_metadata(newer).is_ok(), "{expected}: it stays until the run goes on");
    store.begin().unwrap();
    assert!(fs::symlink_metadata(newer).is_err(), "{expected}");
    assert!(fs::symlink_metadata(newer.with_added_extension("corrupt")).is_ok(), "{expected}");
    // the run goes on, and may take the same name again
    store.save(&snapshot(2), &Retention::default()).unwrap();
    assert_eq!(store.load_newest().unwrap().unwrap().state["n"], 2);
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A manifest's text with the right hash of itself.
fn signed(text: &str) -> String {
    let end = text.len() - 4;
    let zeros = format!("{}{}{}", &text[..end - 64], "0".repeat(64), &text[end..]);
    let hash = hex(zeros.as_bytes());
    format!("{}{hash}{}", &text[..end - 64], &text[end..])
}

/// Changes a manifest as one would who can compute its hash.
fn forge(folder: &Path, change: impl FnOnce(String) -> String) {
    let at = folder.join("manifest.json");
    let text = fs::read_to_string(&at).unwrap();
    assert_eq!(signed(&text), text, "this test computes the hash as the library does");
    let changed = change(text.clone());
    assert_ne!(changed, text);
    fs::write(at, signed(&changed)).unwrap();
}

/// Gives a file another content, and the manifest the size and hash of it.
fn forge_file(folder: &Path, name: &str, content: &[u8]) {
    let old = fs::read(folder.join(name)).unwrap();
    fs::write(folder.join(name), content).unwrap();
    let size = |bytes: &[u8]| format!("\"size\": {},\n      \"sha256\": \"{}\"", bytes.len(), hex(bytes));
    forge(folder, |text| text.replace(&size(&old), &size(content)));
}

#[test]
fn every_flipped_bit_is_found() {
    let (_dir, _, newer) = run();
    let mut flips = 0;
    for name in FILES {
        let at = newer.join(name);
        let sound = fs::read(&at).unwrap();
        for bit in 0..8 * sound.len() {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&at, bytes).unwrap();
            match damage(&newer) {
                Some(Damage::Hash(file)) if file == name => {}
                Some(Damage::Manifest(why)) if name == "manifest.json" => {
                    assert!(why.contains("SHA-256"), "{why}")
                }
                other => panic!("bit {bit} of {name}: {other:?}"),
            }
            flips += 1;
        }
        fs::write(&at, sound).unwrap();
    }
    assert_eq!(damage(&newer), None);
    assert!(flips > 5_000, "{flips}");
}

#[test]
fn a_file_that_is_hashed_on_a_thread_of_its_own_is_hashed_to_its_last_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), Arc::new(Os)).unwrap();
    let mut large = snapshot(1);
    let n = (3 << 20) + 5;
    large.buffer = (0..n).map(|i| (i % 251) as u8).collect();
    let whole = Entry { name: "w".into(), dtype: "U8".into(), shape: vec![n as u64], bytes: 0..n };
    large.files[0].tensors = vec![whole];
    store.save(&large, &Retention::default()).unwrap();
    let loaded = store.load_newest().unwrap().unwrap();
    let TensorData { tensors, bytes } = &loaded.files["model.safetensors"];
    assert_eq!(bytes[tensors[0].bytes.clone()], large.buffer);

    let at = loaded.path.join("model.safetensors");
    let sound = fs::read(&at).unwrap();
    assert_eq!(loaded.manifest.files["model.safetensors"].sha256, hex(&sound));
    let borders = (256 << 10..sound.len()).step_by(256 << 10).flat_map(|border| [border - 1, border]);
    for byte in borders.chain([0, sound.len() - 1]) {
        let mut bytes = sound.clone();
        bytes[byte] ^= 1;
        fs::write(&at, bytes).unwrap();
        assert_eq!(damage(&loaded.path), Some(Damage::Hash("model.safetensors".into())), "byte {byte}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_found() {
    let (_dir, _, newer) = run();
    for name in FILES {
        let at = newer.join(name);
        let sound = fs::read(&at).unwrap();
        for length in 0..sound.len() {
            fs::write(&at, &sound[..length]).unwrap();
            let (expected, found) = (sound.len() as u64, length as u64);
            match damage(&newer) {
                Some(Damage::Manifest(_)) if name == "manifest.json" => {}
                other => assert_eq!(other, Some(Damage::Size { file: name.into(), expected, found })),
            }
        }
        let mut longer = sound.clone();
        longer.push(b'\n');
        fs::write(&at, longer).unwrap();
        assert!(damage(&newer).is_some());
        fs::write(&at, sound).unwrap();
    }
}

#[test]
fn a_damaged_snapshot_is_set_aside_with_its_damage_and_the_one_before_is_loaded() {
    type Change = fn(&Path, &Path);
    let state = || "state.json".to_owned();
    let cases: &[(Change, Damage)] = &[
        (|_, new| fs::remove_file(new.join("state.json")).unwrap(), Damage::Missing(state())),
        (
            |_, new| fs::remove_file(new.join("manifest.json")).unwrap(),
            Damage::Missing("manifest.json".into()),
        ),
        (
            |_, new| fs::remove_file(new.join("model.safetensors")).unwrap(),
            Damage::Missing("model.safetensors".into()),
        ),
        (
            |old, new| _ = fs::copy(old.join("state.json"), new.join("state.json")).unwrap(),
            Damage::Hash(state()),
        ),
        (
            |old, new| _ = fs::copy(old.join("model.safetensors"), new.join("model.safetensors")).unwrap(),
            Damage::Hash("model.safetensors".into()),
        ),
        (
            |old, new| _ = fs::copy(old.join("manifest.json"), new.join("manifest.json")).unwrap(),
            Damage::Manifest("it is that of 000000000001-b".into()),
        ),
        (
            |old, new| FILES.iter().for_each(|file| _ = fs::copy(old.join(file), new.join(file)).unwrap()),
            Damage::Manifest("it is that of 000000000001-b".into()),
        ),
        (|_, new| fs::write(new.join("more"), "").unwrap(), Damage::Unlisted("more".into())),
        (
            |_, new| {
                fs::remove_file(new.join("state.json")).unwrap();
                fs::create_dir(new.join("state.json")).unwrap();
            },
            Damage::NotAFile(state()),
        ),
        (
            |_, new| forge(new, |text| text.replace("\"size\": 8,", "\"size\": 1125899906842624,")),
            Damage::Size { file: state(), expected: 1 << 50, found: 8 },
        ),
        (
            |_, new| forge(new, |text| text.replace("\"size\": 8,", "\"size\": 18446744073709551615,")),
            Damage::Size { file: state(), expected: u64::MAX, found: 8 },
        ),
        (
            |_, new| forge(new, |text| text.replace("\"state.json\"", "\"../000000000001-b/state.json\"")),
            Damage::Manifest("`../000000000001-b/state.json` is not a file name".into()),
        ),
        (
            |_, new| forge(new, |text| text.replace("\"state.json\"", "\"/etc/passwd\"")),
            Damage::Manifest("`/etc/passwd` is not a file name".into()),
        ),
        (
            |_, new| forge(new, |text| text.replace("\"state.json\"", "\"..\"")),
            Damage::Manifest("`..` is not a file name".into()),
        ),
        (
            |_, new| forge_file(new, "state.json", "[".repeat(100_000).as_bytes()),
            Damage::Content { file: state(), why: "recursion limit exceeded at line 1 column 128".into() },
        ),
        (
            |_, new| forge_file(new, "model.safetensors", &[255; 32]),
            Damage::Content {
                file: "model.safetensors".into(),
                why: "its header claims 18446744073709551615 bytes".into(),
            },
        ),
    ];
    for (change, expected) in cases {
        let (dir, older, newer) = run();
        change(&older, &newer);
        falls_back(&dir, &newer, expected);
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_is_damage_even_if_it_leads_to_the_right_bytes() {
    use std::os::unix::fs::symlink;
    for name in FILES {
        let (dir, _, newer) = run();
        let elsewhere = dir.path().join(name);
        fs::rename(newer.join(name), &elsewhere).unwrap();
        symlink(&elsewhere, newer.join(name)).unwrap();
        falls_back(&dir, &newer, &Damage::NotAFile(name.into()));
    }
    let (dir, _, newer) = run();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&newer, &elsewhere).unwrap();
    symlink(&elsewhere, &newer).unwrap();
    assert_eq!(damage(&newer), None, "one that was moved to another disk is found by a link");
    fs::write(elsewhere.join("state.json"), "{").unwrap();
    assert!(damage(&newer).is_some());
    fs::remove_file(&newer).unwrap();
    fs::write(&newer, "").unwrap();
    falls_back(&dir, &newer, &Damage::NotAFolder);
}

#[cfg(unix)]
#[test]
fn a_link_named_like_a_left_over_is_removed_and_not_followed() {
    let (dir, older, _) = run();
    let link = dir.path().join("checkpoints/.tmp-000000000009-b");
    std::os::unix::fs::symlink(&older, &link).unwrap();
    Store::open(dir.path(), Arc::new(Os)).unwrap().begin().unwrap();
    assert!(fs::symlink_metadata(link).is_err());
    assert_eq!(damage(&older), None);
}

#[test]
fn a_later_format_is_refused_by_its_version_and_stays_where_it_is() {
    let (dir, _, newer) = run();
    forge(&newer, |text| {
        text.replace("\"format\": 1,", "\"format\": 2,").replace("\"why\"", "\"something new\"")
    });
    let mut store = Store::open(dir.path(), Arc::new(Os)).unwrap();
    let error = store.load_newest().unwrap_err();
    assert!(matches!(error, Error::Format { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("has format version 2, but this version of catena reads 1"));
    assert!(newer.exists());
}

#[test]
fn what_can_not_be_read_is_an_error_and_is_not_set_aside() {
    let start = || {
        let disk = MemoryFileSystem::default();
        let mut store = Store::unlocked(Path::new("/"), Arc::new(disk.clone())).unwrap();
        store.save(&snapshot(1), &Retention::default()).unwrap();
        store.save(&snapshot(2), &Retention::default()).unwrap();
        disk.mend();
        (disk, store)
    };
    let (disk, mut store) = start();
    store.load_newest().unwrap();
    let calls = disk.calls();
    assert!(calls.len() > 10);
    for (n, call) in calls.iter().enumerate() {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Other] {
            let (disk, mut store) = start();
            disk.plan(n, Fault::Fail(kind));
            match store.load_newest() {
                Err(Error::Io { source, .. }) => assert_eq!(source.kind(), kind),
                other => panic!("{call:?}: {other:?}"),
            }
            let names = disk.list(Path::new("/checkpoints")).unwrap();
            assert!(names.iter().all(|(name, _)| name.parse::<SnapshotName>().is_ok()), "{names:?}");
            assert_eq!(store.load_newest().unwrap().unwrap().state["n"], 2);
        }
    }
}

/// The most that reading so many bytes of JSON may take: a map of one number, written in 8 bytes, is a node of 700.
fn bound(bytes: usize) -> u64 {
    100 * bytes as u64 + (1 << 20)
}

fn bounded<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let peak = allocation_counter::measure(|| result = Some(read())).bytes_max;
    assert!(peak <= bound(bytes), "{peak} bytes were taken to read {bytes}");
    result.unwrap()
}

#[test]
fn the_worst_json_takes_no_more_than_its_bound() {
    let (_dir, _, newer) = run();
    for text in ["[]", "0", "{\"\":0}", "\"\"", "[[[[]]]]"] {
        let many = format!("[{}]", vec![text; 20_000].join(","));
        forge_file(&newer, "state.json", many.as_bytes());
        assert!(bounded(many.len(), || damage(&newer)).is_none());
        let header = format!("{{\"a\":{many}}}");
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        assert!(bounded(file.len(), || tensors::parse(&file)).is_err());
    }
    let claim = |size: u64| move |text: String| text.replace("\"size\": 8,", &format!("\"size\": {size},"));
    let (_dir, _, newer) = run();
    forge(&newer, claim(1 << 50));
    assert!(
        matches!(bounded(0, || damage(&newer)), Some(Damage::Size { expected, .. }) if expected == 1 << 50)
    );
}

/// What looks somewhat like JSON.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\"",
            "\"dtype\":\"F32\"",
            "\"shape\":[2]",
            "0",
            "-1",
            "1e999",
            "\"data_offsets\":[0,8]",
            "null",
            "\"format\":1",
            "\"files\":{}",
            "\\u0000",
            " ",
            "18446744073709551615",
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_tensor_files_are_refused_or_cover_every_byte(
        head in json(), tail in prop::collection::vec(any::<u8>(), 0..20), length in prop::option::of(any::<u64>()),
    ) {
        let length = length.unwrap_or(head.len() as u64);
        let file = [&length.to_le_bytes()[..], &head, &tail].concat();
        if let Ok(entries) = bounded(file.len(), || tensors::parse(&file)) {
            let covered: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
            prop_assert_eq!(covered + 8 + length as usize, file.len());
        }
        for cut in 0..file.len().min(10) {
            _ = tensors::parse(&file[..cut]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_manifests_and_states_are_damage(manifest in json(), state in json(), sign: bool) {
        let (_dir, older, newer) = run();
        let mut bytes = manifest;
        if sign {
            // whoever writes garbage may well hash it
            let text = format!("{}\"sha256\": \"{}\"\n}}\n", String::from_utf8_lossy(&bytes), "0".repeat(64));
            bytes = signed(&text).into_bytes();
        }
        fs::write(newer.join("manifest.json"), &bytes).unwrap();
        prop_assert!(matches!(bounded(bytes.len(), || damage(&newer)), Some(Damage::Manifest(_))));
        forge_file(&older, "state.json", &state);
        let sound = serde_json::from_slice::<serde_json::Value>(&state);
        match bounded(state.len(), || damage(&older)) {
            None => prop_assert!(sound.is_ok()),
            Some(Damage::Content { file, .. }) => prop_assert!(sound.is_err() && file == "state.json"),
            Some(other) => panic!("{other}"),
        }
    }
}
