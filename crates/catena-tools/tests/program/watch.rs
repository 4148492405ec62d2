//! `watch`, without a terminal; tests/interop/watch.py has one.
use std::fs::{self, OpenOptions};
use std::io::Write;

use serde_json::{Value, json};

use crate::place::Place;

/// A run of 3 epochs of 10 batches that is in the middle of its third, with a checkpoint an epoch.
fn begin(place: &Place) {
    place.run("run");
    let loaders = json!([
        { "name": "train", "mode": "train", "batches": 15 },
        { "name": "valid", "mode": "eval", "batches": 4 },
    ]);
    let run = json!({ "stages": [{ "name": "train", "epochs": 3, "loaders": loaders }], "machine": { "device": "cpu" } });
    let started = "2026-01-02T03:00:00.000Z";
    let run = json!({ "status": "running", "started": started, "ended": null, "run": run });
    fs::write(place.path("run/run.json"), run.to_string()).unwrap();
    for batch in 1..=34_u64 {
        journal(place, batch, 1.0 / batch as f64);
        if batch % 15 == 0 {
            for loader in ["train", "valid"] {
                let metrics = json!({ "loss": 2.0 / batch as f64, "accuracy@1": batch as f64 / 40.0 });
                let row = json!({ "stage": "train", "epoch": batch / 15, "loader": loader, "global_step": batch, "global_batch": batch, "metrics": metrics });
                add(place, "metrics.jsonl", &format!("{row}\n"));
            }
        }
    }
}

fn journal(place: &Place, batch: u64, loss: f64) {
    let bits = format!("{:016x}", loss.to_bits());
    let row = json!({ "stage": "train", "epoch": (batch - 1) / 15 + 1, "global_batch": batch, "global_step": batch, "ids": "00", "lr": 0.5, "loss": bits });
    add(place, "journal.jsonl", &format!("{row}\n"));
}

fn add(place: &Place, file: &str, text: &str) {
    let path = place.path("run").join(file);
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn one_picture_shows_where_a_run_is_and_touches_nothing() {
    let place = Place::new();
    begin(&place);
    let before = place.content("run");
    for size in ["80x24", "60x16", "140x40"] {
        let output = place.catena(&format!("watch run --once --size {size}"));
        assert_eq!((output.status, output.err.as_str()), (0, ""));
        let (width, height) = size.split_once('x').unwrap();
        assert_eq!(output.out.lines().count(), height.parse::<usize>().unwrap());
        let width = width.parse().unwrap();
        assert!(output.out.lines().all(|line| line.chars().count() <= width), "{}", output.out);
        for part in [
            "epoch 3/3",
            "75.5 %",
            "step 34",
            "batch 4/15",
            "loss   accuracy@1   lr",
            "valid 0.0667",
            "saved 000000000030-e",
        ] {
            assert!(output.out.contains(part), "{size} {part}\n{}", output.out);
        }
    }
    let ascii = place.catena("watch run --once --ascii --metric accuracy@1 --log");
    assert!(ascii.out.is_ascii());
    assert!(ascii.out.contains("o train 0.7500  * valid 0.7500"), "{}", ascii.out);
    assert!(place.catena("watch run --once --size 59x16").out.contains("terminal too small"));
    assert_eq!(place.content("run"), before);
}

#[test]
fn what_is_known_is_json_too() {
    let place = Place::new();
    begin(&place);
    let (status, json) = place.json("watch run --once");
    assert_eq!(status, 0);
    assert_eq!(
        (&json["status"], &json["epoch"], &json["global_batch"]),
        (&json!("running"), &json!(3), &json!(34))
    );
    assert_eq!(json["done"], json!(34.0 / 45.0));
    assert_eq!(json["metrics"]["valid/accuracy@1"], json!(0.75));
    assert_eq!(json["last_checkpoint"]["name"], "000000000030-e");
    assert_eq!(
        json["best_checkpoint"],
        json!({ "name": "000000000020-e", "metric": "valid/loss", "value": 0.25 })
    );
    assert_eq!(json["warnings"], json!([]));
    let output = place.catena("watch run --json");
    assert_eq!((output.status, output.err.lines().count()), (2, 1), "{}", output.err);
}

#[test]
fn off_a_terminal_one_sentence_says_so() {
    let place = Place::new();
    begin(&place);
    let output = place.catena("watch run");
    assert_eq!((output.status, output.out.as_str()), (2, ""));
    assert!(output.err.starts_with("error: a live picture needs a terminal"), "{}", output.err);
    assert_eq!(output.err.lines().count(), 1);
    assert!(output.err.contains("--once"));
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::new();
    begin(&place);
    journal(&place, 35, f64::NAN);
    add(&place, "journal.jsonl", "no row\n{\"stage\":\"tra");
    add(&place, "metrics.jsonl", "{}\n");
    fs::create_dir_all(place.path("run/crash/20260102T030405.000Z")).unwrap();
    fs::rename(
        place.path("run/checkpoints/000000000020-e"),
        place.path("run/checkpoints/000000000020-e.corrupt"),
    )
    .unwrap();
    fs::write(place.path("run/checkpoints/000000000030-e/model.safetensors"), "short").unwrap();
    let (status, json) = place.json("watch run --once");
    assert_eq!((status, &json["global_batch"]), (0, &json!(35)));
    let warnings: Vec<&str> = json["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for part in [
        "an error inside a batch left crash/20260102T030405.000Z",
        "loss was NaN at step 35",
        "checkpoint 000000000030-e is damaged",
        "000000000020-e.corrupt was set aside as damaged",
        "line 36 of journal.jsonl can't be read",
        "line 5 of metrics.jsonl can't be read",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{part}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    assert_eq!(json["last_checkpoint"]["name"], "000000000010-e", "the damaged one is not counted on");
    fs::write(place.path("run/run.json"), "{").unwrap();
    let (status, json) = place.json("watch run --once");
    assert_eq!(status, 0);
    assert!(json["warnings"].to_string().contains("run/run.json is damaged"), "{json}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_silent_is_gone_unless_its_lock_is_held() {
    let place = Place::new();
    begin(&place);
    let store = place.locked("run");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    for name in ["run.json", "journal.jsonl", "metrics.jsonl"] {
        let file = OpenOptions::new().append(true).open(place.path("run").join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    fs::File::open(place.path("run/checkpoints")).unwrap().set_modified(old).unwrap();
    let picture = |gone: bool| {
        let (_, json) = place.json("watch run --once");
        assert_eq!(json["gone"], gone, "{json}");
        assert_eq!(json["warnings"].to_string().contains("process gone"), gone, "{json}");
    };
    picture(false);
    assert!(place.catena("watch run --once").out.contains(&format!("process {}", std::process::id())));
    drop(store);
    picture(true);
}
