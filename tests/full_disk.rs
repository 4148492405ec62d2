//! A full disk and a reader that has gone are warnings: the program `digits`, with all its logs, ends as if nothing had been.
#![cfg(target_os = "linux")]
mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::rng::Exclusive;
use serde_json::Value;

/// `digits` by a shell script, which has the program as `$1`, the run directory as `$2`, and a folder for what it leaves as `$3`.
fn by_shell(script: &str, dir: &Path) -> Output {
    let (run, left) = (dir.join("run"), dir.join("left"));
    std::fs::create_dir_all(&run).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", script, "bash"]).arg(common::example("digits")).args([&run, &left]);
    shell.env_remove("RUST_LOG").env("OMP_WAIT_POLICY", "passive").output().unwrap()
}

/// Flags of a run that saves nothing before its end.
const FLAGS: &str = "--epochs 150 --device cpu --threads 1 --checkpoint-every never";

/// What the console shows, without times: the same if the training is.
fn shown(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter(|line| line.starts_with("digits  epoch"));
    lines.map(|line| line.split(" samples").next().unwrap_or_default().to_owned()).collect()
}

/// The run went on to its end, as one that nothing disturbs; that its snapshot can't be written then is the one error.
fn went_on(output: &Output) {
    let flags: Vec<&str> =
        FLAGS.split(' ').filter(|flag| !["--checkpoint-every", "never"].contains(flag)).collect();
    let undisturbed = shown(&common::run("digits", &flags));
    assert_eq!(undisturbed.len(), 300);
    assert_eq!(shown(output), undisturbed);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), count(&told, "error: snapshot: can't write ")), (Some(1), 1), "{told}");
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn files_that_can_grow_no_further_are_a_warning_each_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // run.json, which is there before, fits
    let script = format!("ulimit -f 16; trap '' XFSZ; exec \"$1\" --dir \"$2\" {FLAGS}");
    let output = by_shell(&script, dir.path());
    went_on(&output);
    let told = String::from_utf8_lossy(&output.stderr);
    for what in ["journal.jsonl can't be written: ", "metrics.jsonl can't be written: "] {
        assert_eq!(count(&told, what), 1, "{what}\n{told}");
    }
    // a mebibyte of lines waits for space
    assert!(count(&told, "bytes that could not be written are lost; its rows have a gap") <= 2, "{told}");
    assert!(std::fs::metadata(dir.path().join("run/journal.jsonl")).unwrap().len() <= 16 << 10);
}

#[test]
fn a_full_file_system_silences_every_file_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // in a name space of its own, where whoever may can mount; a neighbour fills it once the run writes
    let script = format!(
        "exec unshare --mount --map-root-user bash -c 'mount -t tmpfs -o size=64k tmpfs \"$2\" || exit 77
         (until test -s \"$2/metrics.jsonl\"; do sleep 0.01; done; while cat /dev/zero >> \"$2/fill\"; sleep 0.02; do :; done) 2> /dev/null &
         \"$1\" --dir \"$2\" {FLAGS}; code=$?; kill $!; rm \"$2/fill\"; cp -r \"$2\" \"$3\"; exit $code' bash \"$1\" \"$2\" \"$3\""
    );
    let output = by_shell(&script, dir.path());
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || told.contains("unshare") {
        // the test before this one needs no rights
        println!("no file system can be mounted here: {told}");
        return;
    }
    went_on(&output);
    // what had space for a moment and then not is told again
    for what in [
        "metrics.jsonl can't be written: No space left",
        "train.csv can't be written: No space left",
        ".catena can't be written: No space left",
        "journal.jsonl can't be written: No space left",
        "timing.jsonl can't be written: No space left",
    ] {
        assert!(count(&told, what) > 0, "{what}\n{told}");
    }
    assert_eq!(count(&told, "run.log can't be written any more: No space left"), 1, "{told}");
    let metrics = std::fs::read_to_string(dir.path().join("left/metrics.jsonl")).unwrap();
    assert!(metrics.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{metrics}");
}

#[test]
fn whoever_reads_standard_error_may_go_and_the_log_stays() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut digits = Command::new(common::example("digits"));
    digits
        .args(FLAGS.split(' '))
        .arg("--dir")
        .arg(&run)
        .env_remove("RUST_LOG")
        .env("OMP_WAIT_POLICY", "passive");
    let mut digits = digits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(digits.stderr.take());
    let output = digits.wait_with_output().unwrap();
    assert!(output.status.success());
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["batches"], 6750);
    let log = std::fs::read_to_string(run.join("run.log")).unwrap();
    assert_eq!(count(&log, "Console can't write and is silent from here on: Broken pipe"), 1, "{log}");
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 300);
}

#[test]
fn a_run_whose_last_word_can_not_be_written_has_its_report_all_the_same() {
    let _exclusive = Exclusive::wait();
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("run.json.new");
    let stage =
        Stage::new("train").train(tiny_loader(20, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let block = on(Event::StageEnd, move |_| {
        std::fs::create_dir(&in_the_way)?;
        Ok(Flow::GO)
    });
    let builder = Runner::builder(tiny_model()).stage(stage).callback(block).run_dir(dir.path());
    let report = builder.build().unwrap().run().unwrap();
    assert_eq!((report.batches, report.status), (5, Status::Completed));
    let run: Value = serde_json::from_slice(&std::fs::read(dir.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(run["status"], "running");
}
