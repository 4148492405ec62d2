//! `run diff`.
use serde_json::{Value, json};

use crate::place::Place;

fn line(step: u64) -> Value {
    json!({
        "stage": "train", "epoch": 1, "global_batch": 2 * step, "global_step": step, "ids": format!("{step:08x}"),
        "lr": 0.125, "loss": format!("{:016x}", (1.0 / step as f64).to_bits()),
    })
}

impl Place {
    fn journal(&self, run: &str, lines: impl IntoIterator<Item = Value>) {
        std::fs::create_dir_all(self.path(run)).unwrap();
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path(run).join("journal.jsonl"), text).unwrap();
    }
}

/// The lines of a run, one of them changed.
fn changed(steps: u64, at: u64, change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut lines: Vec<Value> = (1..=steps).map(line).collect();
    change(&mut lines[at as usize - 1]);
    lines
}

#[test]
fn equal_journals_are_equal() {
    let place = Place::new();
    place.journal("a", (1..=5).map(line));
    place.journal("b", (1..=5).map(line));
    for b in ["b", "b/journal.jsonl"] {
        let output = place.catena(&format!("run diff a {b}"));
        assert_eq!((output.status, output.err.as_str()), (0, ""));
        insta::assert_snapshot!("run_equal", output.out);
    }
    let (status, json) = place.json("run diff a b");
    assert_eq!((status, &json["equal"], &json["lines_agree"]), (0, &json!(true), &json!(5)));
}

#[test]
fn the_first_step_that_diverged_is_named_with_what_differs() {
    let place = Place::new();
    place.journal("a", (1..=5).map(line));
    let last_bit = |line: &mut Value| {
        line["loss"] = json!(format!("{:016x}", (1.0f64 / 3.0).to_bits() + 1));
        line["lr"] = json!("nan");
        line["outcome"] = json!("skipped");
    };
    place.journal("b", changed(5, 3, last_bit));
    let output = place.catena("run diff a b");
    assert_eq!((output.status, output.err.as_str()), (1, ""));
    insta::assert_snapshot!("run_differs", output.out);
    let (status, json) = place.json("run diff a b");
    assert_eq!((status, &json["equal"]), (1, &json!(false)));
    assert_eq!(
        json["first_that_differs"]["at"],
        json!({ "stage": "train", "epoch": 1, "global_batch": 6, "global_step": 3 })
    );
    let fields = &json["first_that_differs"]["fields"];
    assert_eq!(fields[1], json!({ "name": "lr", "a": 0.125, "b": "nan" }));
    assert_eq!(fields[2], json!({ "name": "outcome", "a": null, "b": "skipped" }));
}

#[test]
fn every_field_counts() {
    let place = Place::new();
    let with = |line: Value| {
        let mut line = line;
        line["grad_norm"] = json!(1.5);
        line["params"] = json!("aa");
        line["outcome"] = json!("nothing");
        line
    };
    place.journal("a", (1..=3).map(line).map(with));
    let fields = [
        "stage",
        "epoch",
        "global_batch",
        "global_step",
        "outcome",
        "ids",
        "lr",
        "loss",
        "grad_norm",
        "params",
    ];
    for field in fields {
        let mut lines: Vec<Value> = (1..=3).map(line).map(with).collect();
        lines[1][field] = json!("other");
        place.journal("b", lines);
        let (status, json) = place.json("run diff a b");
        assert_eq!(status, 1, "{field}");
        let differing = &json["first_that_differs"]["fields"];
        assert_eq!((differing.as_array().unwrap().len(), &differing[0]["name"]), (1, &json!(field)));
        assert_eq!(json["lines_agree"], 1);
    }
}

#[test]
fn a_shorter_run_agrees_up_to_its_end() {
    let place = Place::new();
    place.journal("a", (1..=5).map(line));
    place.journal("b", (1..=3).map(line));
    place.journal("none", []);
    let output = place.catena("run diff a b");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("run_shorter", output.out);
    let (status, json) = place.json("run diff b a");
    assert_eq!((status, &json["shorter"]["run"]), (1, &json!("A")));
    assert_eq!(json["shorter"]["other_ends"]["global_step"], 5);
    let output = place.catena("run diff none b");
    assert_eq!(output.status, 1);
    insta::assert_snapshot!("run_empty", output.out);
    let output = place.catena("run diff none none");
    assert_eq!((output.status, output.out.as_str()), (0, "Both journals are empty.\n"));
}

#[test]
fn lines_that_one_journal_lacks_are_told_and_not_compared() {
    let place = Place::new();
    place.journal("whole", (1..=9).map(line));
    place.journal("gap", (1..=9).filter(|step| !(3..=5).contains(step)).map(line));
    place.journal("thin", (1..=9).filter(|step| step % 3 == 0).map(line));
    for (a, b, name) in [("whole", "gap", "B"), ("gap", "whole", "A")] {
        let output = place.catena(&format!("run diff {a} {b}"));
        assert_eq!((output.status, output.err.as_str()), (0, ""), "{}", output.out);
        let lacks = format!("{name}'s journal lacks 3 lines between step 3 (batch 6,");
        assert!(output.out.contains("The journals agree in 6 lines, up to step 9"), "{}", output.out);
        assert!(output.out.contains(&lacks), "{}", output.out);
    }
    let (status, json) = place.json("run diff whole thin");
    assert_eq!((status, &json["lines_agree"], &json["gaps"][0]["lines"]), (0, &json!(3), &json!(6)));
}

#[test]
fn what_only_one_run_computes_is_not_a_divergence() {
    let place = Place::new();
    place.journal("a", (1..=5).map(line));
    place.journal("b", changed(5, 2, |line| line["params"] = json!("ab")));
    let output = place.catena("run diff a b");
    assert_eq!(output.status, 0);
    insta::assert_snapshot!("run_optional", output.out);
}

#[test]
fn a_last_line_that_was_cut_short_is_left_out_and_a_broken_one_is_damage() {
    let place = Place::new();
    place.journal("a", (1..=3).map(line));
    place.journal("b", (1..=3).map(line));
    let path = place.path("b/journal.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"stage\": \"tr")).unwrap();
    let output = place.catena("run diff a b");
    assert_eq!(output.status, 0);
    insta::assert_snapshot!("run_torn", output.out);

    std::fs::write(&path, whole.replacen("\"stage\"", "stage", 2)).unwrap();
    let output = place.catena("run diff a b");
    assert_eq!((output.status, output.out.as_str()), (1, ""));
    insta::assert_snapshot!("run_broken", output.err);

    std::fs::write(&path, vec![b' '; 3 << 20]).unwrap();
    let output = place.catena("run diff a b");
    assert_eq!(output.status, 1);
    assert!(output.err.contains("line 1: it is longer than 1048576 bytes"), "{}", output.err);
}
