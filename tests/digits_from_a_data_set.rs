//! The digits through a `DataLoader`: the bits of the loader in memory, for both loops and any number of workers, over stops too.
mod common;

use serde_json::Value;

const FLAGS: [&str; 4] = ["--epochs", "2", "--threads", "1"];

fn digits(flags: &[&str]) -> Value {
    common::digits(&[&FLAGS[..], flags].concat())
}

#[test]
fn a_data_set_of_the_same_rows_ends_in_the_same_hashes_for_any_number_of_workers() {
    let memory = digits(&["--loader", "memory"]);
    assert_eq!(memory, digits(&[]));
    for workers in ["0", "1", "2", "5"] {
        for by in ["chain", "explicit"] {
            let map = digits(&["--loader", "map", "--workers", workers, "--loop", by]);
            assert_eq!(map, memory, "{workers} workers, {by}");
        }
    }
}

#[test]
fn augmented_digits_end_in_the_same_hashes_for_any_number_of_workers_and_stops() {
    let plain = digits(&["--loader", "map"]);
    let augmented = ["--loader", "map", "--augment"];
    let whole = digits(&augmented);
    assert_ne!(whole["params_sha256"], plain["params_sha256"]);
    for workers in ["1", "2", "5"] {
        for by in ["chain", "explicit"] {
            let run = digits(&[&augmented[..], &["--workers", workers, "--loop", by]].concat());
            assert_eq!(run, whole, "{workers} workers, {by}");
        }
    }

    // stopped twice in the first epoch and once over its end, and gone on with other numbers of workers
    let dir = tempfile::tempdir().unwrap();
    let saved = ["--checkpoint-every", "5 batches", "--dir", dir.path().to_str().unwrap(), "--resume"];
    let flags = [&FLAGS[..], &augmented, &saved].concat();
    for (workers, batches) in [("2", "13"), ("5", "11"), ("0", "31")] {
        let stopping = ["--workers", workers, "--stop-after-batches", batches];
        let stopped = common::run("digits", &[&flags[..], &stopping].concat());
        assert_eq!(stopped.status.code(), Some(9), "{}", String::from_utf8_lossy(&stopped.stderr));
    }
    let resumed = common::digits(&[&flags[..], &["--workers", "1"]].concat());
    for same in ["params_sha256", "optimizer_sha256", "train_loss", "valid_loss", "valid_accuracy"] {
        assert_eq!(resumed[same], whole[same], "{same}");
    }
    assert!(resumed["resumed_from"].as_u64().is_some());
}

#[test]
fn a_resume_without_what_changed_the_samples_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let saved = ["--checkpoint-every", "5 batches", "--dir", dir.path().to_str().unwrap(), "--resume"];
    let flags = [&FLAGS[..], &["--loader", "map"], &saved].concat();
    let stopping = ["--augment", "--stop-after-batches", "13"];
    let stopped = common::run("digits", &[&flags[..], &stopping].concat());
    assert_eq!(stopped.status.code(), Some(9), "{}", String::from_utf8_lossy(&stopped.stderr));
    let refused = common::run("digits", &flags);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("augment"), "{told}");
}
