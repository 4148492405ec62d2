//! The chain and the hand-written loop are the same training, to the bit; and PyTorch's is the same to 1e-6.
mod common;

#[path = "../examples/digits/main.rs"]
#[allow(dead_code, reason = "the program's main is not called here")]
mod digits;

use std::collections::BTreeMap;

use catena::tch::{Device, Tensor, nn};
use catena::tensor::data::{Start, order};
use catena::tensor::rng::Exclusive;
use clap::Parser;
use serde::Deserialize;
use serde_json::Value;

#[test]
fn chain_and_explicit_loop_end_in_the_same_bits() {
    let mut different = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for optimizer in ["sgd", "adam", "adamw", "radam"] {
        for accumulate in ["1", "2", "3", "4"] {
            for batch in ["32", "48"] {
                for threads in ["1", "2"] {
                    let flags = [
                        "--optimizer",
                        optimizer,
                        "--accumulate",
                        accumulate,
                        "--batch",
                        batch,
                        "--threads",
                        threads,
                    ];
                    let flags = [&flags[..], &["--epochs", "2", "--device", "cpu"]].concat();
                    let run = |l| common::digits(&[&flags[..], &["--loop", l]].concat());
                    let (chain, explicit) = (run("chain"), run("explicit"));
                    seen.insert(chain["params_sha256"].to_string());
                    if chain != explicit {
                        different.push(format!("{flags:?}: {chain} and {explicit}"));
                    }
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(seen.len() >= 32, "the flags change the training: {} different ends", seen.len());
}

#[test]
fn schedules_and_seeds_are_part_of_it() {
    let mut ends = Vec::new();
    for flags in [
        &["--seed", "1"][..],
        &["--seed", "2"],
        &["--schedule", "none"],
        &["--schedule", "onecycle", "--optimizer", "sgd"],
    ] {
        let run = |l| {
            common::digits(
                &[flags, &["--loop", l, "--epochs", "2", "--accumulate", "3", "--threads", "1"]].concat(),
            )
        };
        let (chain, explicit) = (run("chain"), run("explicit"));
        assert_eq!(chain, explicit, "{flags:?}");
        ends.push(chain["params_sha256"].clone());
    }
    assert_ne!(ends[0], ends[1], "two seeds differ");
}

#[test]
fn the_defaults_reach_95_percent() {
    let accuracy = common::digits(&[])["valid_accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.95, "{accuracy}");
}

#[derive(Deserialize)]
struct Reference {
    order: BTreeMap<u64, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    optimizer: String,
    lr: f64,
    schedule: Option<String>,
    accumulate: u64,
    losses: Vec<f64>,
    valid_loss: f64,
    valid_accuracy: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/digits_reference.json")).unwrap()
}

#[test]
fn the_explicit_loops_losses_are_pytorchs() {
    let _exclusive = Exclusive::wait();
    catena::tch::set_num_threads(1);
    let data = digits::data::digits().unwrap();
    for case in &reference().cases {
        let (lr, accumulate) = (case.lr.to_string(), case.accumulate.to_string());
        let schedule =
            if case.schedule.as_deref().is_some_and(|s| s.starts_with("cosine")) { "cosine" } else { "none" };
        let flags = [
            "digits",
            "--optimizer",
            &case.optimizer,
            "--lr",
            &lr,
            "--accumulate",
            &accumulate,
            "--schedule",
            schedule,
            "--epochs",
            "3",
        ];
        let settings = digits::settings::Settings::parse_from(flags);
        let mut vs = nn::VarStore::new(Device::Cpu);
        let net = digits::settings::model(&vs, 64, 10, 0.0, settings.fused).unwrap();
        vs.load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/digits_reference.safetensors")).unwrap();
        let mut losses = Vec::new();
        let tell = |loss: &Tensor| losses.push(loss.double_value(&[]));
        let outcome = digits::explicit::train_and_tell(&vs, &net, &data, &settings, tell).unwrap();
        assert_eq!(losses.len(), case.losses.len());
        for (batch, (got, expected)) in losses.iter().zip(&case.losses).enumerate() {
            assert!(
                (got - expected).abs() <= 1e-6,
                "{}: batch {batch} has loss {got}, PyTorch has {expected}",
                case.name
            );
        }
        assert!((outcome.valid_loss - case.valid_loss).abs() <= 1e-6, "{}", case.name);
        assert!((outcome.valid_accuracy - case.valid_accuracy).abs() <= 1e-6, "{}", case.name);
    }
}

#[test]
fn the_data_order_is_the_documented_one() {
    for (epoch, expected) in reference().order {
        let order = order::shuffled(1438, Start { epoch, ..Start::default() });
        let expected: Vec<u64> = serde_json::from_value(expected).unwrap();
        assert_eq!(order[..expected.len()], expected, "epoch {epoch}");
    }
}

fn refused(flags: &[&str]) -> String {
    let output = common::run("digits", flags);
    assert!(output.stdout.is_empty() && !output.status.success(), "{flags:?}");
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

#[test]
fn what_can_not_be_had_is_refused_in_a_sentence() {
    assert_eq!(refused(&["--resume"]), "error: --resume needs a run directory; give one with `--dir DIR`");
    assert!(refused(&["--loop", "explicit", "--dir", "run"]).contains("the explicit loop writes nothing"));
    assert!(refused(&["--device", "tpu"]).ends_with("device `tpu`: unknown; give cpu, cuda or cuda:N"));
    if !catena::tch::Cuda::is_available() {
        let text = refused(&["--device", "cuda"]);
        assert_eq!(
            text,
            "error: device `cuda`: no GPU can be used here: none is present, or this libtorch was built for the CPU only"
        );
    }
}

#[test]
fn a_missing_truncated_or_foreign_data_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let text = refused(&["--data", at]);
    assert_eq!(
        text,
        format!("error: there is no train-images-idx3-ubyte (nor train-images-idx3-ubyte.gz) in {at}")
    );

    let images = dir.path().join("train-images-idx3-ubyte");
    let header = [0u8, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2];
    std::fs::write(&images, [&header[..], &[1, 2, 3]].concat()).unwrap();
    let text = refused(&["--data", at]);
    assert!(
        text.contains("its header promises 8 values, but it holds 3: it is truncated or damaged"),
        "{text}"
    );

    std::fs::write(&images, b"PNG and so on, but no IDX").unwrap();
    assert!(refused(&["--data", at]).contains("not an IDX file of bytes with 3 dimensions"));
}

#[test]
fn stopping_after_some_batches_leaves_at_once_with_status_9() {
    for l in ["chain", "explicit"] {
        let output = common::run("digits", &["--loop", l, "--stop-after-batches", "7"]);
        assert_eq!(output.status.code(), Some(9));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_run_directory_is_never_overwritten_and_a_finished_run_does_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let whole = common::digits(&["--epochs", "2", "--dir", at]);
    let text = refused(&["--epochs", "2", "--dir", at]);
    assert_eq!(
        text,
        format!(
            "error: {at} holds snapshots of a run already; go on from them with `resume`, or give another directory"
        )
    );
    let again = common::digits(&["--epochs", "2", "--dir", at, "--resume"]);
    assert_eq!((&again["batches_run"], &again["resumed_from"]), (&0.into(), &whole["batches"]));
    for same in ["params_sha256", "optimizer_sha256", "batches", "steps", "train_loss", "valid_loss"] {
        assert_eq!(again[same], whole[same], "{same}");
    }
}

#[test]
fn stopped_and_resumed_the_digits_end_in_the_same_hashes() {
    let flags = ["--epochs", "2", "--accumulate", "3"];
    let plain = common::digits(&flags);
    let dir = tempfile::tempdir().unwrap();
    let saved = ["--checkpoint-every", "7 batches", "--dir", dir.path().to_str().unwrap(), "--resume"];
    let flags = [&flags[..], &saved].concat();
    for _ in 0..2 {
        let stopped = common::run("digits", &[&flags[..], &["--stop-after-batches", "23"]].concat());
        assert_eq!(stopped.status.code(), Some(9), "{}", String::from_utf8_lossy(&stopped.stderr));
    }
    let resumed = common::digits(&flags);
    for same in [
        "params_sha256",
        "optimizer_sha256",
        "batches",
        "steps",
        "train_loss",
        "valid_loss",
        "valid_accuracy",
    ] {
        assert_eq!(resumed[same], plain[same], "{same}");
    }
    let from = resumed["resumed_from"].as_u64().unwrap();
    assert!(from >= 28 && from.is_multiple_of(7), "{from}");
    assert_eq!(resumed["batches_run"].as_u64().unwrap(), plain["batches"].as_u64().unwrap() - from);
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_directory_has_the_confusion_matrices_and_the_flags_and_looking_changes_no_bit() {
    let flags = ["--epochs", "2", "--accumulate", "3", "--threads", "1"];
    let plain = common::digits(&flags);
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |dir: &tempfile::TempDir| dir.path().to_str().unwrap().to_owned();
    let watched = common::digits(&[&flags[..], &["--dir", &at(&whole), "--profile"]].concat());
    assert_eq!(watched, plain);

    let rows = lines(&whole.path().join("metrics.jsonl"));
    let of = |loader: &str| rows.iter().filter(|row| row["loader"] == loader).collect::<Vec<_>>();
    assert!(of("train").iter().all(|row| row["metrics"].get("confusion_matrix").is_none()));
    assert_eq!(of("valid").len(), 2);
    for row in of("valid") {
        let metrics = &row["metrics"];
        let matrix: Vec<Vec<f64>> = serde_json::from_value(metrics["confusion_matrix"].clone()).unwrap();
        assert!(matrix.len() == 10 && matrix.iter().all(|row| row.len() == 10));
        let all: f64 = matrix.iter().flatten().sum();
        let right: f64 = (0..10).map(|i| matrix[i][i]).sum();
        assert_eq!(all, 359.0, "every fifth of 1797");
        assert!((right / all - metrics["accuracy@1"].as_f64().unwrap()).abs() < 1e-12);
    }

    let run: Value = serde_json::from_slice(&std::fs::read(whole.path().join("run.json")).unwrap()).unwrap();
    let settings = |key: &str| {
        let chain = run["run"]["chain"].as_array().unwrap();
        chain.iter().find(|member| member["key"] == key).unwrap()["settings"].clone()
    };
    let params = serde_json::json!({
        "epochs": 2, "batch": 32, "accumulate": 3, "seed": 0, "optimizer": "adamw", "lr": 0.01, "schedule": "cosine", "threads": 1, "fused": "on",
        "loader": "memory", "augment": false,
    });
    assert_eq!(settings("Loggers"), serde_json::json!({ "params": params }));
    assert_eq!(settings("Checkpoint")["keep"]["keep_last"], 2);
    let timing = lines(&whole.path().join("timing.jsonl"));
    for what in ["throughput", "memory", "timings", "syncs", "snapshot"] {
        assert!(timing.iter().any(|row| row.get(what).is_some()), "{what}");
    }

    let again = ["--checkpoint-every", "7 batches", "--resume", "--dir", &at(&killed)];
    let again = [&flags[..], &again].concat();
    let stopped = common::run("digits", &[&again[..], &["--stop-after-batches", "60"]].concat());
    assert_eq!(stopped.status.code(), Some(9), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert_eq!(common::digits(&again)["resumed_from"], 56);
    let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join("metrics.jsonl")).unwrap();
    assert_eq!(read(&killed), read(&whole), "matrices too, to the byte");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_digits_in_order_and_they_go_on_as_if_nothing_had_been() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let flags = ["--epochs", "40"];
    let plain = common::digits(&flags);
    let dir = tempfile::tempdir().unwrap();
    let saved = ["--checkpoint-every", "1000 epochs", "--resume", "--dir", dir.path().to_str().unwrap()];
    let flags = [&flags[..], &saved].concat();
    let mut newest = 0;
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut program = Command::new(common::example("digits"));
        program.args(&flags).env("OMP_WAIT_POLICY", "passive").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = program.spawn().unwrap();
        let lines =
            || std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap_or_default().lines().count();
        let (before, since) = (lines(), Instant::now());
        while lines() <= before + 50 && since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(status));
        let names = std::fs::read_dir(dir.path().join("checkpoints")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let last = names.filter_map(|name| name[..12].parse::<u64>().ok()).max().unwrap();
        assert!(last > newest, "{last} after {newest}");
        newest = last;
    }
    let said = std::fs::read_to_string(dir.path().join("run.log")).unwrap();
    for signal in ["SIGINT", "SIGTERM"] {
        assert!(said.contains(&format!("{signal}: the run ends after this batch")), "{said}");
    }
    let resumed = common::digits(&flags);
    assert_eq!(resumed["resumed_from"], newest);
    for same in ["params_sha256", "optimizer_sha256", "batches", "steps", "train_loss", "valid_loss"] {
        assert_eq!(resumed[same], plain[same], "{same}");
    }
}
