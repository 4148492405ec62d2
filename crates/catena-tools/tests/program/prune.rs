//! `ckpt prune`.
use serde_json::json;

use crate::place::{Place, model, save};

impl Place {
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("run/checkpoints")).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const ALL: [&str; 3] = ["000000000010-e", "000000000020-e", "000000000030-e"];

#[test]
fn a_dry_run_only_tells() {
    let place = Place::new();
    place.run("run");
    let before = place.content("run");
    let output = place.catena("ckpt prune run --keep-last 1 --dry-run");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    insta::assert_snapshot!("prune_dry", output.out);
    assert_eq!(place.content("run"), before);
}

#[test]
fn the_newest_the_best_and_every_mth_stay() {
    for (flags, kept) in [
        ("--keep-last 1", &ALL[2..]),
        ("--keep-last 2", &ALL[1..]),
        ("--keep-last 9", &ALL[..]),
        ("--keep-last 1 --keep-best 1 --metric valid/loss --mode min", &ALL[1..]),
        ("--keep-last 1 --keep-best 1 --metric valid/loss --mode max", &ALL[2..]),
        ("--keep-last 1 --keep-best 1 --metric valid/accuracy --mode max", &ALL[1..]),
        ("--keep-last 1 --keep-every 2", &ALL[1..]),
    ] {
        let place = Place::new();
        place.run("run");
        let (status, json) = place.json(&format!("ckpt prune run {flags}"));
        assert_eq!(status, 0, "{flags}");
        assert_eq!(place.names(), kept, "{flags}");
        assert_eq!(json["kept"], json!(kept), "{flags}");
        assert_eq!(json["removed"].as_array().unwrap().len(), 3 - kept.len(), "{flags}");
    }
    let place = Place::new();
    place.run("run");
    let output = place.catena("ckpt prune run --keep-last 1 --keep-best 1 --metric valid/loss --mode min");
    insta::assert_snapshot!("prune", output.out);
    assert_eq!(place.catena("ckpt verify run").status, 0);
}

#[test]
fn a_run_that_is_going_on_is_not_pruned() {
    let place = Place::new();
    place.run("run");
    let _locked = place.locked("run");
    let output = place.catena("ckpt prune run --keep-last 1");
    assert_eq!((output.status, output.out.as_str()), (2, ""));
    insta::assert_snapshot!("prune_in_use", output.err);
    assert_eq!(place.names(), ALL);
}

#[test]
fn nothing_goes_when_what_would_stay_is_damaged() {
    let place = Place::new();
    place.run("run");
    place.flip("run/checkpoints/000000000030-e/model.safetensors");
    for dry in ["", "--dry-run"] {
        let output = place.catena(&format!("ckpt prune run --keep-last 1 {dry}"));
        assert_eq!(output.status, 1);
        insta::assert_snapshot!("prune_damaged", output.err);
    }
    assert_eq!(place.names(), ALL);
}

#[test]
fn what_is_known_to_be_damaged_is_left_alone_and_does_not_count() {
    let place = Place::new();
    place.run("run");
    save(&mut place.store("run"), "000000000040-z", &[], model([0.0; 6]));
    std::fs::write(place.path("run/checkpoints/000000000040-z/state.json"), "").unwrap();
    let output = place.catena("ckpt prune run --keep-last 1");
    assert_eq!(output.status, 0);
    insta::assert_snapshot!("prune_left_alone", output.out);
    assert_eq!(place.names(), ["000000000030-e", "000000000040-z"]);
}

#[test]
fn a_metric_that_was_not_measured_keeps_everything() {
    let place = Place::new();
    place.run("run");
    let output = place.catena("ckpt prune run --keep-last 1 --keep-best 1 --metric valid/los --mode min");
    assert_eq!(output.status, 2);
    insta::assert_snapshot!("prune_metric", output.err);
    assert_eq!(place.names(), ALL);
}
