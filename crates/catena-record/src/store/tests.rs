use std::fs;

use super::*;
use crate::fs::{Os, WriteFile};
use crate::name::SafePoint;
use crate::retention::{Goal, KeepBest};
use crate::testing::{snapshot, warnings};

fn open(run: &Path) -> Store {
    Store::open(run, Arc::new(Os)).unwrap()
}

fn keep_all() -> Retention {
    Retention { keep_last: 9, ..Retention::default() }
}

fn name(n: u64) -> SnapshotName {
    snapshot(n).name
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_snapshot_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert!(store.save(&snapshot(1), &keep_all()).unwrap().bytes > 0);
    let other = Snapshot { state: b"\"another\"".to_vec(), ..snapshot(1) };
    assert_eq!(store.save(&other, &keep_all()).unwrap().bytes, 0);
    assert_eq!(store.load(name(1)).unwrap().state, 1);
    // nor one that the store knows nothing of
    fs::create_dir(store.path(name(2))).unwrap();
    fs::write(store.path(name(2)).join("mine"), "").unwrap();
    let error = store.save(&snapshot(2), &keep_all()).unwrap_err();
    assert!(matches!(error, Error::Io { what: "can't rename to", .. }), "{error}");
    assert_eq!(names(&store.path(name(2))), ["mine"]);
    assert_eq!(names(&dir.path().join("checkpoints")), ["000000000001-b", "000000000002-b"]);
}

#[test]
fn newer_ones_are_set_aside_in_the_first_free_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for again in ["1", "2"] {
        for n in [1, 2, 3] {
            store.save(&snapshot(n), &keep_all()).unwrap();
        }
        store.set_newer_aside(name(1)).unwrap();
        let aside = dir.path().join("checkpoints/superseded").join(again);
        assert_eq!(names(&aside), ["000000000002-b", "000000000003-b"]);
        assert_eq!(store.listed().len(), 1);
        assert_eq!(store.load_newest().unwrap().unwrap().state, 1);
    }
    store.set_newer_aside(name(1)).unwrap();
    assert_eq!(
        names(&dir.path().join("checkpoints/superseded")),
        ["1", "2"],
        "nothing to do makes no folder"
    );
    store.save(&snapshot(4), &keep_all()).unwrap();
    assert_eq!(store.listed()[1].sequence, 2, "counted on from what the run goes on from");
}

#[test]
fn what_was_measured_stands_with_the_newest_snapshot_of_the_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let measured = || std::collections::BTreeMap::from([("loss".to_owned(), 0.5)]);
    let at = |point| {
        let plain = snapshot(1);
        Snapshot { name: SnapshotName { point, ..plain.name }, measured: measured(), ..plain }
    };
    let best = KeepBest { k: 2, metric: "loss".into(), goal: Goal::Min };
    let retention = Retention { keep_last: 1, best: Some(best), ..Retention::default() };
    let found =
        |store: &Store| store.listed().iter().map(|l| (l.name.point, l.measured.clone())).collect::<Vec<_>>();
    {
        let mut store = open(dir.path());
        store.save(&at(SafePoint::Epoch), &retention).unwrap();
        store.save(&at(SafePoint::Run), &retention).unwrap();
        assert_eq!(found(&store), [(SafePoint::Run, measured())]);
    }
    assert_eq!(found(&open(dir.path())), [(SafePoint::Run, measured())], "and it is so on the disk");
}

#[test]
fn a_state_that_could_not_be_read_back_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let large = Snapshot { state: vec![b' '; 33 << 20], ..snapshot(1) };
    let error = store.save(&large, &keep_all()).unwrap_err();
    assert!(error.to_string().contains("keep large things as tensors"), "{error}");
    assert_eq!(names(&dir.path().join("checkpoints")), [""; 0]);
}

#[test]
fn what_was_there_at_an_error_is_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let path = store.save_crash(&snapshot(9), "20260101T000000.000Z", &Retention::default()).unwrap();
    assert_eq!(path, dir.path().join("crash/20260101T000000.000Z"));
    assert_eq!(load(&Os, &path).unwrap().state, 9);
    assert!(store.load_newest().unwrap().is_none() && !store.holds_snapshots().unwrap());
    assert!(
        store.save_crash(&snapshot(8), "20260101T000000.000Z", &Retention::default()).is_err(),
        "never overwritten"
    );
    assert_eq!(load(&Os, &path).unwrap().state, 9);
    assert_eq!(names(&dir.path().join("crash")), ["20260101T000000.000Z"]);
}

#[test]
fn a_run_directory_has_one_run_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("new/one");
    let store = open(&run);
    let error = Store::open(&run, Arc::new(Os)).unwrap_err();
    let what = "is in use by another process; a run directory has one run at a time";
    assert_eq!(error.to_string(), format!("{} {what}", run.display()));
    drop(store);
    open(&run);
}

#[test]
fn left_overs_are_removed_and_what_is_not_its_own_stays() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).save(&snapshot(1), &keep_all()).unwrap();
    let checkpoints = dir.path().join("checkpoints");
    for folder in [".tmp-000000000002-b", ".tmp-000000000001-b.gone", "notes"] {
        fs::create_dir(checkpoints.join(folder)).unwrap();
        fs::write(checkpoints.join(folder).join("state.json"), "{").unwrap();
    }
    // somebody else's, whatever their names begin with
    fs::write(checkpoints.join(".tmp-file"), "").unwrap();
    fs::create_dir_all(checkpoints.join(".tmp-000000000003-b/a folder/in it")).unwrap();
    let before = names(&checkpoints);
    let mut store = open(dir.path());
    assert_eq!(names(&checkpoints), before, "opening changes nothing");
    let warnings = warnings(|| store.begin().unwrap());
    assert_eq!(names(&checkpoints), [".tmp-000000000003-b", ".tmp-file", "000000000001-b", "notes"]);
    assert!(
        warnings.len() == 1 && warnings[0].contains("a folder in it is none of catena's files"),
        "{warnings:?}"
    );
    assert_eq!(store.listed().len(), 1);
}

#[test]
fn a_second_damaged_one_of_a_name_gets_a_number_and_each_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for told in ["corrupt", "corrupt.2", "corrupt.3"] {
        store.save(&snapshot(1), &keep_all()).unwrap();
        fs::remove_file(store.path(name(1)).join("state.json")).unwrap();
        assert!(store.load_newest().unwrap().is_none());
        assert_eq!(store.damaged(), [(name(1), "state.json is missing".to_owned())]);
        assert!(store.path(name(1)).exists(), "it is passed over, and set aside when the run goes on");
        let warnings = warnings(|| store.begin().unwrap());
        let path = store.path(name(1));
        let (path, aside) = (path.display(), path.with_added_extension(told));
        let expected = format!("{path} is damaged: state.json is missing; it is now {}", aside.display());
        assert_eq!(warnings, [expected]);
        assert!(store.holds_snapshots().unwrap());
    }
}

/// The system's disk, on which some calls fail.
#[derive(Debug)]
struct Fails {
    rename: Option<io::ErrorKind>,
    remove_file: bool,
}

impl FileSystem for Fails {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Os.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Os.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        Os.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<(Kind, u64)> {
        Os.stat(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, Kind)>> {
        Os.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // what is new can be renamed, as in an overlay
        let is_old = from.join("manifest.json").exists() && !from.to_string_lossy().contains(".tmp-");
        match self.rename.filter(|_| is_old) {
            Some(kind) => Err(kind.into()),
            None => Os.rename(from, to),
        }
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        Os.sync_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Os.sync_folder(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if self.remove_file { Err(io::ErrorKind::ResourceBusy.into()) } else { Os.remove_file(path) }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Os.remove_folder(path)
    }
}

/// Saves snapshots and gives what is told, with what is left.
fn save_on(fs: Fails, before: impl Fn(&Path)) -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = dir.path().join("checkpoints");
    let told = warnings(|| {
        let mut store = Store::open(dir.path(), Arc::new(fs)).unwrap();
        for n in 1..5 {
            store.save(&snapshot(n), &Retention { keep_last: 1, ..Retention::default() }).unwrap();
            before(&checkpoints);
        }
        assert_eq!(store.load_newest().unwrap().unwrap().state, 4);
    });
    let mut left = names(&checkpoints);
    // what is left stands in nobody's way
    let mut store = open(dir.path());
    warnings(|| assert!(store.save(&snapshot(9), &keep_all()).unwrap().bytes > 0));
    assert_eq!(store.load_newest().unwrap().unwrap().state, 9);
    left.retain(|name| name != "superseded");
    (told, left)
}

#[test]
fn what_is_gone_or_can_not_be_removed_or_renamed_ends_no_save() {
    let by_hand = |checkpoints: &Path| {
        for name in names(checkpoints) {
            fs::remove_dir_all(checkpoints.join(name)).unwrap();
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for n in 1..4 {
        store.save(&snapshot(n), &Retention { keep_last: 1, ..Retention::default() }).unwrap();
        by_hand(&dir.path().join("checkpoints"));
    }
    assert_eq!(store.listed().iter().map(|listed| listed.name).collect::<Vec<_>>(), [name(3)]);

    let (told, left) =
        save_on(Fails { rename: Some(io::ErrorKind::CrossesDevices), remove_file: false }, |_| ());
    assert_eq!((told, left), (Vec::new(), vec!["000000000004-b".to_owned()]));
    let (told, left) =
        save_on(Fails { rename: Some(io::ErrorKind::PermissionDenied), remove_file: false }, |_| ());
    assert_eq!(left.len(), 4);
    assert!(told.len() == 3 && told.iter().all(|told| told.contains("is tried again")), "{told:?}");
    let (told, left) = save_on(Fails { rename: None, remove_file: true }, |_| ());
    assert_eq!(left.len(), 4);
    assert!(told.len() == 3 && told.iter().all(|told| told.contains("can't be removed")), "{told:?}");
}

#[test]
fn what_can_not_be_renamed_is_moved_as_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let fs = Arc::new(Fails { rename: Some(io::ErrorKind::CrossesDevices), remove_file: false });
    let mut store = Store::open(dir.path(), fs).unwrap();
    for n in 1..5 {
        store.save(&snapshot(n), &keep_all()).unwrap();
    }
    fs::write(store.path(name(4)).join("state.json"), "{").unwrap();
    warnings(|| assert_eq!(store.load_newest().unwrap().unwrap().state, 3));
    warnings(|| store.set_newer_aside(name(1)).unwrap());
    let checkpoints = dir.path().join("checkpoints");
    assert_eq!(names(&checkpoints), ["000000000001-b", "000000000004-b.corrupt", "superseded"]);
    let superseded = checkpoints.join("superseded/1");
    assert_eq!(names(&superseded), ["000000000002-b", "000000000003-b"]);
    assert_eq!(load(&Os, &superseded.join("000000000003-b")).unwrap().state, 3);
}

#[test]
fn a_file_that_is_not_its_own_stays_and_so_does_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.save(&snapshot(1), &keep_all()).unwrap();
    fs::write(store.path(name(1)).join("notes.txt"), "the good one").unwrap();
    let told = warnings(|| {
        for n in 2..4 {
            store.save(&snapshot(n), &Retention { keep_last: 1, ..Retention::default() }).unwrap();
        }
    });
    assert!(told.len() == 1 && told[0].contains("notes.txt in it is none of catena's files"), "{told:?}");
    let notes = dir.path().join("checkpoints/.tmp-000000000001-b.gone/notes.txt");
    assert_eq!(fs::read_to_string(notes).unwrap(), "the good one");
}

#[test]
fn what_errors_and_older_starts_leave_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let retention = Retention { keep_last: 99, crashes: 2, superseded: 3, ..Retention::default() };
    fs::create_dir_all(dir.path().join("crash/mine")).unwrap();
    fs::create_dir_all(dir.path().join("checkpoints/superseded/01")).unwrap();
    for n in 0..12u64 {
        store.save_crash(&snapshot(n), &format!("20260101T0000{n:02}.000Z"), &retention).unwrap();
        store.save(&snapshot(n), &retention).unwrap();
        store.save(&snapshot(n + 1), &retention).unwrap();
        store.set_newer_aside(name(n)).unwrap();
        store.apply(&retention).unwrap();
    }
    assert_eq!(names(&dir.path().join("crash")), ["20260101T000010.000Z", "20260101T000011.000Z", "mine"]);
    assert_eq!(names(&dir.path().join("checkpoints/superseded")), ["01", "11", "12", "13"]);
}
