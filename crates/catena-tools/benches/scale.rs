//! How long the program takes, and how much memory, with a run of 10⁶ steps, 200 series and 1,000 snapshots; and how long a resume reads its logs.
//!
//! `cargo bench -p catena-tools --bench scale`; medians of three. The run is made in a temporary folder (about 300 MB).
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use catena_record::fs::Os;
use catena_record::logs::{LogFile, Mark};
use catena_record::retention::Retention;
use catena_record::tensors::Entry;
use catena_record::{SafePoint, Snapshot, SnapshotName, Store, TensorFile};

const STEPS: u64 = 1_000_000;
const EPOCHS: u64 = 1000;
const IN_EPOCH: u64 = STEPS / EPOCHS;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = dir.path().join("run");
    let begun = Instant::now();
    make_run(&run, STEPS);
    make_run_of_steps(&dir.path().join("tenth"), STEPS / 10);
    fs::create_dir(dir.path().join("other")).expect("a folder");
    fs::copy(run.join("journal.jsonl"), dir.path().join("other/journal.jsonl")).expect("a copy");
    println!("made in {:.1} s", begun.elapsed().as_secs_f64());
    println!("{:<28} {:>9} {:>12}", "", "median", "memory");
    for args in [
        "report run -o page.html",
        "watch run --once",
        "ckpt list run",
        "ckpt verify run",
        "run diff run other",
    ] {
        let mut all: Vec<(Duration, u64)> = (0..3).map(|_| measure(dir.path(), args)).collect();
        all.sort_unstable();
        println!("{args:<28} {:>7.2} s {:>9.0} MB", all[1].0.as_secs_f64(), all[1].1 as f64 / 1e3);
    }
    if let Ok(page) = fs::metadata(dir.path().join("page.html")) {
        println!("the page has {:.2} MB", page.len() as f64 / 1e6);
    }
    for (name, run) in [("of 10⁶ steps", run), ("of 10⁵ steps", dir.path().join("tenth"))] {
        let path = run.join("journal.jsonl");
        let bytes = fs::metadata(&path).expect("a journal").len();
        let mark = Mark::of(&path, bytes).expect("a mark");
        let begun = Instant::now();
        for _ in 0..100 {
            LogFile::go_on(&path, &mark).expect("it is as it was");
        }
        println!(
            "a resume with a journal {name} ({:.0} MB): {:.0} µs",
            bytes as f64 / 1e6,
            begun.elapsed().as_secs_f64() * 1e4
        );
    }
}

/// How long a command takes, and its largest memory in kB.
fn measure(dir: &Path, args: &str) -> (Duration, u64) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_catena"));
    let mut child = command
        .args(args.split_whitespace())
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut most = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = most.max(line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("it is ours") {
            assert!(status.success(), "{args}: {status}");
            return (begun.elapsed(), most);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn make_run_of_steps(run: &Path, steps: u64) {
    fs::create_dir_all(run).expect("a folder");
    let mut journal = BufWriter::new(fs::File::create(run.join("journal.jsonl")).expect("a file"));
    for step in 1..=steps {
        let loss = (1.0 / (step as f64).sqrt()).to_bits();
        let epoch = (step - 1) / IN_EPOCH + 1;
        writeln!(
            journal,
            r#"{{"stage":"train","epoch":{epoch},"global_batch":{step},"global_step":{step},"ids":"{:016x}","lr":0.001,"loss":"{loss:016x}","grad_norm":0.5}}"#,
            step.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
        .expect("space");
    }
}

fn make_run(run: &Path, steps: u64) {
    make_run_of_steps(run, steps);
    let about = serde_json::json!({ "status": "completed", "started": "2026-01-01T00:00:00.000Z", "ended": "2026-01-02T00:00:00.000Z", "run": {} });
    fs::write(run.join("run.json"), about.to_string()).expect("space");
    let mut metrics = BufWriter::new(fs::File::create(run.join("metrics.jsonl")).expect("a file"));
    let mut timing = BufWriter::new(fs::File::create(run.join("timing.jsonl")).expect("a file"));
    for epoch in 1..=EPOCHS {
        for step in (1..=IN_EPOCH).step_by(100).map(|step| (epoch - 1) * IN_EPOCH + step) {
            writeln!(metrics, r#"{{"stage":"train","epoch":{epoch},"loader":"train","scope":"batch","batch":{},"global_step":{step},"global_batch":{step},"metrics":{{"loss":{},"lr":0.001}}}}"#, step % IN_EPOCH, 1.0 / step as f64).expect("space");
            writeln!(timing, r#"{{"time":"2026-01-01T{:02}:{:02}:{:02}.000Z","global_batch":{step},"samples_per_s":{},"ms_per_batch":1.5,"data":0.1}}"#, epoch / 60 % 24, epoch % 60, step / 100 % 60, 1e4 / (1.0 + step as f64 / 1e6)).expect("space");
        }
        for loader in ["train", "valid"] {
            let mut values = String::new();
            for series in 0..100 {
                write!(
                    values,
                    r#"{}"m{series}":{}"#,
                    if series == 0 { "" } else { "," },
                    1.0 / (epoch + series) as f64
                )
                .expect("memory");
            }
            let step = epoch * IN_EPOCH;
            writeln!(metrics, r#"{{"stage":"train","epoch":{epoch},"loader":"{loader}","global_step":{step},"global_batch":{step},"metrics":{{{values}}}}}"#).expect("space");
        }
    }
    drop((metrics, timing));
    let mut store = Store::unlocked(run, Arc::new(Os)).expect("a store");
    let keep = Retention { keep_last: usize::MAX, ..Retention::default() };
    for epoch in 1..=EPOCHS {
        let entry =
            |name: &str, bytes| Entry { name: name.into(), dtype: "F32".into(), shape: vec![256], bytes };
        let tensors = vec![entry("bias", 0..1024), entry("weight", 1024..2048)];
        let snapshot = Snapshot {
            name: SnapshotName { global_batch: epoch * IN_EPOCH, point: SafePoint::Epoch },
            stage: "train".into(),
            time: "2026-01-01T00:00:00.000Z".into(),
            why: vec!["1 epoch".into()],
            stopped: false,
            measured: (0..100)
                .map(|series| (format!("valid/m{series}"), 1.0 / (epoch + series) as f64))
                .collect(),
            logs: Default::default(),
            state: b"{}".to_vec(),
            files: vec![TensorFile {
                name: "model.safetensors".into(),
                metadata: Default::default(),
                tensors,
            }],
            buffer: vec![0; 2048],
        };
        store.save(&snapshot, &keep).expect("space");
    }
}
