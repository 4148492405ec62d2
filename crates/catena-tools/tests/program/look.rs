//! `list`, `show` and `verify`.
use serde_json::json;

use crate::place::{Place, model, save, snapshot};
use catena_record::Snapshot;
use catena_record::logs::Mark;
use catena_record::retention::Retention;

#[test]
fn the_list_names_every_checkpoint() {
    let place = Place::new();
    place.run("run");
    for args in ["ckpt list run", "ckpt list run --verify"] {
        let output = place.catena(args);
        assert_eq!((output.status, output.err.as_str()), (0, ""), "{args}");
        insta::assert_snapshot!("list", output.out);
    }
    let (status, json) = place.json("ckpt list run");
    assert_eq!(status, 0);
    assert_eq!(json["verified"], false);
    assert_eq!(json["checkpoints"].as_array().unwrap().len(), 3);
    insta::assert_snapshot!("list_json", format!("{:#}", json["checkpoints"][0]));
}

#[test]
fn a_list_with_scores_of_many_classes_stays_as_narrow_as_a_terminal() {
    let place = Place::new();
    let names: Vec<String> = (0..40).map(|class| format!("valid/f1_score/{class}")).collect();
    let mut measured: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.123_456)).collect();
    measured.extend([("valid/loss", 0.5), ("valid/accuracy", 0.75), ("train/loss", 0.25)]);
    let mut store = place.store("run");
    save(&mut store, "000000000010-e", &measured, model([0.0; 6]));
    save(&mut store, "000000000020-e", &measured[40..], model([0.0; 6]));
    let output = place.catena("ckpt list run");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    insta::assert_snapshot!("list_wide", output.out);
    let table = output.out.split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{}", output.out);

    let asked = place.catena("ckpt list run --metrics valid/f1_score/3?").out;
    assert_eq!(asked.matches("valid/f1_score/3").count(), 10, "{asked}");
    assert!(!asked.contains("loss") && !asked.contains("Not shown"), "{asked}");
    assert_eq!(place.json("ckpt list run").1["checkpoints"][0]["measured"].as_object().unwrap().len(), 43);
    assert_eq!(place.catena("ckpt show run 10").out.matches("valid/f1_score/").count(), 40);
    let wrong = place.catena("ckpt list run --metrics [");
    assert_eq!(wrong.status, 2);
    assert!(wrong.err.starts_with("error: `[` is no pattern of names: "), "{}", wrong.err);
}

#[test]
fn a_run_that_has_saved_nothing_has_an_empty_list() {
    let place = Place::new();
    let mut store = place.store("run");
    std::fs::write(place.path("run").join("lock"), "").unwrap();
    // a program that has opened the directory, and one that has begun
    for has_begun in [false, true] {
        if has_begun {
            store.begin().unwrap();
        }
        for command in ["list", "verify"] {
            let output = place.catena(&format!("ckpt {command} run"));
            assert_eq!((output.status, output.out.as_str()), (0, "run has no checkpoints yet.\n"));
        }
    }
    let output = place.catena("ckpt show run");
    assert_eq!((output.status, output.err.as_str()), (2, "error: run has no checkpoints yet\n"));
}

#[test]
fn damage_is_listed_with_its_reason_and_an_exit_status_and_left_alone() {
    let place = Place::new();
    place.run("run");
    let missing = place.path("run/checkpoints/000000000010-e/optimizer.main.safetensors");
    std::fs::remove_file(missing).unwrap();
    place.flip("run/checkpoints/000000000020-e/manifest.json");
    place.flip("run/checkpoints/000000000030-e/model.safetensors");
    let before = place.content("run");

    let output = place.catena("ckpt list run");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("list_damaged", output.out);
    let output = place.catena("ckpt list run --verify");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("list_damaged_verify", output.out);
    let (status, json) = place.json("ckpt list run --verify");
    assert_eq!(status, 1);
    let states: Vec<_> = json["checkpoints"].as_array().unwrap().iter().map(|c| c["state"].clone()).collect();
    assert_eq!(states, ["damaged"; 3]);
    assert_eq!(json["checkpoints"][0]["reason"], "optimizer.main.safetensors is missing");

    let output = place.catena("ckpt verify run");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("verify_damaged", output.out);
    let (status, json) = place.json("ckpt verify run");
    assert_eq!((status, &json["bad"]), (1, &json!(3)));

    let output = place.catena("ckpt show run");
    assert_eq!((output.status, output.out.as_str()), (1, ""));
    insta::assert_snapshot!("show_damaged", output.err);
    let (status, json) = place.json("ckpt show run 20");
    assert_eq!(status, 1);
    assert!(json["error"].as_str().unwrap().contains("manifest.json: its SHA-256"), "{json}");

    assert_eq!(place.content("run"), before, "looking changes nothing");
}

#[test]
fn without_verify_the_list_sees_sizes_only() {
    let place = Place::new();
    place.run("run");
    place.flip("run/checkpoints/000000000030-e/model.safetensors");
    assert_eq!(place.catena("ckpt list run").status, 0);
    assert_eq!(place.catena("ckpt list run --verify").status, 1);
    let model = place.path("run/checkpoints/000000000030-e/model.safetensors");
    std::fs::write(model, "short").unwrap();
    assert_eq!(place.catena("ckpt list run").status, 1);
}

#[test]
fn what_is_set_aside_is_named_and_verified() {
    let place = Place::new();
    place.run("run");
    place.flip("run/checkpoints/000000000030-e/model.safetensors");
    let mut store = place.store("run");
    let newest = store.load_newest().unwrap().unwrap();
    assert!(newest.path.ends_with("000000000020-e"));
    store.set_newer_aside("000000000010-e".parse().unwrap()).unwrap();
    store
        .save_crash(
            &snapshot("000000000012-b", &[], model([0.0; 6])),
            "20260102T030405.000Z",
            &Default::default(),
        )
        .unwrap();
    drop(store);

    let output = place.catena("ckpt list run");
    assert_eq!(output.status, 0);
    insta::assert_snapshot!("list_aside", output.out);
    let output = place.catena("ckpt verify run");
    assert_eq!(output.status, 0);
    insta::assert_snapshot!("verify_aside", output.out);
    assert_eq!(
        place.json("ckpt show run crash/20260102T030405.000Z").1["path"],
        "run/crash/20260102T030405.000Z"
    );
    assert_eq!(place.catena("ckpt show run 000000000030-e.corrupt").status, 1);

    place.flip("run/checkpoints/superseded/1/000000000020-e/state.json");
    assert_eq!(place.catena("ckpt list run").status, 0);
    let output = place.catena("ckpt verify run");
    assert_eq!(output.status, 1);
    assert!(output.out.contains("damaged: the SHA-256 of state.json"), "{}", output.out);
}

#[test]
fn a_checkpoint_shows_where_the_run_was_and_its_tensors() {
    let place = Place::new();
    place.run("run");
    let output = place.catena("ckpt show run");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    insta::assert_snapshot!("show", output.out);
    let (status, json) = place.json("ckpt show run");
    assert_eq!(status, 0);
    assert_eq!(json["progress"], json!({ "global_batch": 30, "global_step": 15 }));
    assert_eq!(json["cursor"]["epochs"], 2);
    assert_eq!(
        json["tensors"][0],
        json!({ "file": "model.safetensors", "name": "fc.weight", "dtype": "F32", "shape": [2, 3] })
    );
}

#[test]
fn a_checkpoint_has_a_name_a_number_and_a_path() {
    let place = Place::new();
    place.run("run");
    save(&mut place.store("run"), "000000000020-s", &[], model([9.0; 6]));
    for (argument, path) in [
        ("run", "run/checkpoints/000000000030-e"),
        ("run 000000000020-e", "run/checkpoints/000000000020-e"),
        ("run 20", "run/checkpoints/000000000020-s"),
        ("run run/checkpoints/000000000010-e", "run/checkpoints/000000000010-e"),
        ("run/checkpoints/000000000010-e", "run/checkpoints/000000000010-e"),
    ] {
        assert_eq!(place.json(&format!("ckpt show {argument}")).1["path"], path, "{argument}");
    }
}

#[test]
fn a_run_that_is_going_on_can_be_looked_at() {
    let place = Place::new();
    place.run("run");
    let _locked = place.locked("run");
    for command in ["list", "list --verify", "show", "verify", "prune --dry-run --keep-last 1"] {
        let output = place.catena(&format!("ckpt {command} run"));
        assert_eq!(output.status, 0, "{command}: {}", output.err);
    }
}

#[test]
fn a_checkpoint_without_its_manifest_is_damaged() {
    let place = Place::new();
    place.run("run");
    std::fs::remove_file(place.path("run/checkpoints/000000000030-e/manifest.json")).unwrap();
    for command in
        ["show run", "show run run/checkpoints/000000000030-e", "list run", "verify run", "diff run 10 30"]
    {
        let output = place.catena(&format!("ckpt {command}"));
        assert_eq!(output.status, 1, "{command}");
        assert!((output.out + &output.err).contains("damaged: manifest.json is missing"), "{command}");
    }
}

#[test]
fn a_later_format_is_told_from_damage() {
    let place = Place::new();
    place.run("run");
    place.rehash("run/checkpoints/000000000030-e", "\"format\": 1", "\"format\": 2");
    let output = place.catena("ckpt list run");
    assert_eq!(output.status, 1);
    assert!(output.out.contains("of format version 2, but this version of catena reads 1"), "{}", output.out);
    let output = place.catena("ckpt show run");
    assert_eq!(output.status, 2, "{}", output.err);
}

#[test]
fn names_in_files_can_not_command_the_terminal() {
    let place = Place::new();
    let tensors = vec![("model.safetensors", "a\u{1b}[2Jb", "U8", vec![1], vec![0])];
    save(&mut place.store("run"), "000000000001-b", &[], tensors);
    let output = place.catena("ckpt show run");
    assert!(output.out.contains("a\\u{1b}[2Jb"), "{}", output.out);
    assert_eq!(place.json("ckpt show run").1["tensors"][0]["name"], "a\u{1b}[2Jb");
}

#[test]
fn a_log_that_is_not_as_the_snapshot_left_it_is_told_before_a_resume_meets_it() {
    let place = Place::new();
    let mut store = place.store("run");
    let journal = place.path("run/journal.jsonl");
    std::fs::write(&journal, "one\ntwo\nthree\n").unwrap();
    for (name, bytes, lost) in [("000000000010-e", 4, 0), ("000000000020-e", 8, 1536)] {
        let mark = Mark { lost, ..Mark::of(&journal, bytes).unwrap() };
        let logs = [("journal.jsonl".to_owned(), mark)].into();
        let snapshot = Snapshot { logs, ..snapshot(name, &[], model([0.0; 6])) };
        store.save(&snapshot, &Retention { keep_last: 9, ..Retention::default() }).unwrap();
    }
    let output = place.catena("ckpt verify run");
    assert_eq!(output.status, 0, "{}", output.out);
    assert!(
        output.out.contains("ok; journal.jsonl lacks 1.5 KiB that could not be written"),
        "{}",
        output.out
    );
    // the last line was edited: the older one can be gone on with
    std::fs::write(&journal, "one\nTWO\nthree\n").unwrap();
    let output = place.catena("ckpt verify run");
    assert_eq!(output.status, 1, "{}", output.out);
    let told =
        "whole, but can't be gone on with as it is: journal.jsonl was changed: the rows before its byte 8";
    assert!(output.out.contains(told), "{}", output.out);
    assert!(output.out.contains("1 of them can't be gone on with as it is"), "{}", output.out);
    std::fs::remove_file(&journal).unwrap();
    assert_eq!(place.json("ckpt verify run").1["other_logs"], 2);
    let output = place.catena("ckpt list run");
    assert_eq!(output.status, 1);
    assert!(output.out.contains("as it is: journal.jsonl is gone"), "{}", output.out);
    let page = place.catena("report run -o report.html");
    assert_eq!(page.status, 0, "{}", page.err);
    let html = std::fs::read_to_string(place.path("report.html")).unwrap();
    assert!(html.contains("journal.jsonl lacks 1.5 KiB that could not be written"));
    assert!(html.contains("journal.jsonl is gone, so that the run can"));
}

#[test]
fn a_name_with_ends_of_lines_stays_in_its_line() {
    let place = Place::new();
    save(&mut place.store("run"), "000000000001-b", &[("valid/a\nb", 0.5)], model([0.0; 6]));
    let output = place.catena("ckpt list run");
    assert!(output.out.contains("valid/a\\nb 0.5"), "{}", output.out);
    assert_eq!(output.out.lines().count(), 2, "{}", output.out);
}
