//! Tries any bytes, guided by what they reach, on everything that reads what it did not write.
use std::fs;
use std::process::Child;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// What LLVM needs to tell libFuzzer which code an input reaches; stable Rust passes it on.
const COVERAGE: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

const HOST: &str = "x86_64-unknown-linux-gnu";

/// Builds the targets, and lets each run for so many seconds, a few at a time. What they find lies in `target/fuzz/found`, what reached new code
/// in `target/fuzz/corpus`.
pub(crate) fn run(workspace: &Workspace, seconds: u64, names: &[String]) -> Result<()> {
    let known = workspace.programs("fuzz/src/bin")?;
    for name in names {
        ensure!(
            known.contains(name),
            "there is no target \"{name}\": name some of {}, or none for all",
            known.join(", ")
        );
    }
    let targets = if names.is_empty() { &known } else { names };
    let folder = workspace.target().join("fuzz");
    let mut build =
        workspace.cargo(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", HOST]);
    build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", COVERAGE.join(" "));
    workspace.run(build)?;
    let found = folder.join("found");
    fs::create_dir_all(&found)?;
    let mut failed = Vec::new();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    for group in targets.chunks(at_once) {
        let start = |target: &String| -> Result<(String, Child)> {
            let corpus = folder.join("corpus").join(target);
            fs::create_dir_all(&corpus)?;
            let log = fs::File::create(folder.join(format!("{target}.log")))?;
            let mut command = workspace.command(folder.join(HOST).join("release").join(target));
            command.arg(format!("-max_total_time={seconds}"));
            command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
            command.args(["-timeout=20", "-rss_limit_mb=4096", "-max_len=65536", "-print_final_stats=1"]);
            command.arg(corpus).arg(workspace.path("fuzz/corpus").join(target));
            // a warning for each input would be all that is seen
            command.env("RUST_LOG", "off").env("OMP_NUM_THREADS", "1").stderr(log);
            Ok((target.clone(), command.spawn().with_context(|| format!("{target} can't be started"))?))
        };
        let mut children = group.iter().map(start).collect::<Result<Vec<_>>>()?;
        for (target, child) in &mut children {
            let status = child.wait()?;
            let log = fs::read_to_string(folder.join(format!("{target}.log")))?;
            let number = |name: &str| {
                log.lines().rev().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim)
            };
            let covered = log.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
            println!(
                "{target:<10} {} executions, {} places of the code reached, {} MB: {}",
                number("stat::number_of_executed_units:"),
                covered.unwrap_or("?"),
                number("stat::peak_rss_mb:"),
                if status.success() { "nothing found" } else { "FOUND SOMETHING" }
            );
            if !status.success() {
                let end: Vec<&str> = log.lines().rev().take(40).collect();
                end.iter().rev().for_each(|line| println!("    {line}"));
                failed.push(target.clone());
            }
        }
    }
    ensure!(failed.is_empty(), "{} found something: the input is in {}", failed.join(", "), found.display());
    Ok(())
}
