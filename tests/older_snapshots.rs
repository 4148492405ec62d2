//! Snapshots that an older catena wrote: this one goes on from them to the same losses.
#[path = "common/warnings.rs"]
mod warnings;

include!("fixtures/older_run/run.rs");

use std::fs;

use catena::record::formats::journal::JournalRow;
use catena::tensor::rng::Exclusive;

/// What `make.rs` made with the catena of commit bd375fc.
const MADE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/older_run/run");

/// Inside of an accumulation window, with an average and a plateau; and at an epoch's end.
const SNAPSHOTS: [&str; 2] = ["000000000009-b", "000000000014-e"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The numbers of the journal and of the metrics, by where they stand.
fn numbers(dir: &Path) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    let journal = fs::read_to_string(dir.join("journal.jsonl")).unwrap();
    for (i, line) in journal.lines().enumerate() {
        let row: JournalRow = serde_json::from_str(line).unwrap();
        all.push((format!("loss of step {}", i + 1), row.loss.unwrap()));
        all.push((format!("lr of step {}", i + 1), row.lr.unwrap()));
        all.push((format!("batch of step {}", i + 1), row.global_batch as f64));
    }
    let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    for (i, line) in metrics.lines().enumerate() {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let of_row = row.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?)));
        all.extend(of_row.map(|(name, value)| (format!("{name} of row {}", i + 1), value)));
    }
    all
}

#[test]
fn an_older_snapshot_inside_a_window_and_one_at_an_epochs_end_go_on_to_their_losses() {
    let _exclusive = Exclusive::wait();
    let expected = numbers(Path::new(MADE));
    assert!(expected.iter().filter(|(name, _)| name.starts_with("loss of step")).count() == 9);
    let rates: Vec<f64> =
        expected.iter().filter(|(name, _)| name.starts_with("lr")).map(|(_, lr)| *lr).collect();
    assert!(rates.last() < rates.first(), "the plateau has lowered the rate: {rates:?}");
    for snapshot in SNAPSHOTS {
        let dir = tempfile::tempdir().unwrap();
        copy(Path::new(MADE), dir.path());
        let from = dir.path().join("checkpoints").join(snapshot);
        let told = warnings::warnings(|| {
            let report = builder(dir.path()).build().unwrap().resume(Resume::Path(from)).unwrap();
            assert_eq!((report.status, report.batches), (Status::Completed, 21), "{snapshot}");
            assert!(report.batches_run < 21, "{snapshot}");
        });
        // another machine than the one that made them is told, and who multiplies there
        let of_machine = ["the CPU's capability", "who multiplies matrices: libtorch before"];
        let told: Vec<_> =
            told.into_iter().filter(|text| !of_machine.iter().any(|part| text.contains(part))).collect();
        assert_eq!(told, [""; 0], "all that is compared stands in it: {snapshot}");
        let got = numbers(dir.path());
        assert_eq!(got.len(), expected.len(), "{snapshot}");
        for ((name, got), (expected_name, expected)) in got.iter().zip(&expected) {
            assert_eq!(name, expected_name, "{snapshot}");
            assert!((got - expected).abs() <= 1e-6, "{snapshot}: {name} is {got} and was {expected}");
        }
    }
}
