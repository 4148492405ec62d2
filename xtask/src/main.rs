//! `cargo xtask`: sets libtorch up, and runs the demo, the tests, the faults, the programs that read what catena writes, the steps of
//! CI and the benchmarks.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to its terminal")]

mod bench;
mod ci;
mod demo;
mod faults;
mod folders;
mod fuzz;
mod interop;
mod setup;
mod steps;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use workspace::Workspace;

/// Gets libtorch, and runs what this workspace offers.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make libtorch 2.13.0 available, so that plain cargo commands work.
    ///
    /// The first of these that applies is used: LIBTORCH, if you set it; the PyTorch that is installed, if you set
    /// LIBTORCH_USE_PYTORCH; what an earlier set-up left in `.libtorch`; else PyTorch's wheel, which pip downloads
    /// (527 MB, with CUDA 2.5 GB). An interrupted set-up goes on where it was.
    Setup {
        /// The build with CUDA: the PyTorch 2.13.0 that is installed, if it has CUDA, else its wheels.
        #[arg(long)]
        cuda: bool,
        /// Lay `.libtorch` out again even if it is whole.
        #[arg(long)]
        force: bool,
    },
    /// Train the digits by the chain, by the hand-written loop, and by a run that is killed and goes on; compare the results bit
    /// for bit.
    ///
    /// Gets libtorch first if it is missing. Exit status 1 if they differ.
    Demo {
        /// Flags for all runs, after `--`; `cargo run --example digits -- --help` lists them.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run all tests of the workspace (`cargo test --workspace`); gets libtorch first if it is missing.
    Test {
        /// Arguments for `cargo test`, after `--`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Kill a run many times, at any instant, and resume it to the same bits; before that, let each call to the disk fail.
    ///
    /// `cargo xtask test` does the same with fewer kills.
    Faults {
        /// How many kills at least; a tenth of them fall in each place that counts.
        #[arg(long, default_value_t = 200)]
        kills: u64,
        /// What chooses when to kill; by default the clock does.
        #[arg(long)]
        seed: Option<u64>,
        /// In place of that, try 10,000 random chains of callbacks, or as many as this says: looked at or not, stopped and resumed anywhere, and
        /// where there is one against the loop written by hand, each has the same bits. `cargo xtask test` tries 300.
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000", conflicts_with_all = ["kills", "seed"])]
        chains: Option<u64>,
        /// In place of that, disturb one run 500 times, or as many as this says, in every way that a run meets in days: killed, a full disk, other
        /// loggers, a log edited or lost, checkpoints removed, the directory moved or copied, a server that is away or answers nonsense, a resume
        /// that is refused. `cargo xtask test` does it 24 times.
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "500", conflicts_with_all = ["kills", "chains"])]
        days: Option<u64>,
    },
    /// Try any bytes on everything that reads what it did not write: snapshots, logs, names in data, answers of servers, the report and the watch of
    /// a hostile run directory. libFuzzer chooses them by the code that they reach; stable Rust is enough.
    Fuzz {
        /// For how many seconds each target runs.
        #[arg(default_value_t = 600)]
        seconds: u64,
        /// The targets; all of fuzz/src/bin if none is named.
        names: Vec<String>,
    },
    /// Try what catena writes in the programs that read it: TensorBoard, a real MLflow server (stopped and started in mid-run), the
    /// report in headless Chromium, `catena watch` in a terminal, traces in Perfetto, and PyTorch, which also writes for catena.
    ///
    /// Each is a program in tests/interop, and gets from PyPI what it lacks, into a Python environment in target/interop that is
    /// kept; this needs python3 with venv. The report's installs Debian's Chromium if there is none and this is root; PyTorch's
    /// environment is the largest, some GB. Stops at the first that fails.
    Interop {
        /// The programs to run; all of them if none is named.
        names: Vec<String>,
    },
    /// Run every check that a change must pass, and stop at the first that fails.
    Ci,
    /// Run the benchmarks.
    Bench {
        /// Measure other trainers at the same work (and of catena's own benchmarks only those named). They get a
        /// Python environment outside the repository, in CATENA_PEERS_DIR (default: `catena-peers` in your cache folder).
        #[arg(long)]
        peers: bool,
        /// Measure this tree beside this commit (a hash, a branch, a tag): both are built, in release, with the same libtorch, and
        /// their processes take turns. Prints for each number the quotient of medians (this tree / REV) with its 95 % interval,
        /// and judges nothing. REV lies in target/against.
        #[arg(long, value_name = "REV", conflicts_with = "peers")]
        against: Option<String>,
        /// How many processes of each tree are measured [default: 15, which is also the least].
        #[arg(long, value_name = "N", requires = "against")]
        rounds: Option<usize>,
        /// Only try it: 3 rounds, or as few as `--rounds` says.
        #[arg(long, requires = "against")]
        quick: bool,
        /// Let all processes run on this CPU (with the program `taskset`).
        #[arg(long, value_name = "CPU", requires = "against")]
        pin: Option<usize>,
        /// The benchmarks to run; all of them if none is named, with `--against` `overhead`.
        names: Vec<String>,
        /// Flags for the peers, after `--`, such as `--rounds 3`; with `--against` for the benchmarks.
        #[arg(last = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Setup { cuda, force } => return setup::run(&workspace, setup::Wanted { cuda, force }),
        Task::Demo { .. }
        | Task::Test { .. }
        | Task::Faults { .. }
        | Task::Fuzz { .. }
        | Task::Interop { .. }
        | Task::Ci
        | Task::Bench { .. } => {
            setup::run(&workspace, setup::Wanted::default())?;
        }
    }
    match task {
        Task::Setup { .. } => Ok(()),
        Task::Demo { args } => demo::run(&workspace, &args),
        Task::Test { args } => workspace.run(workspace.test(&args)),
        Task::Faults { chains: Some(chains), .. } => faults::chains(&workspace, chains),
        Task::Faults { days: Some(days), seed, .. } => faults::days(&workspace, days, seed),
        Task::Faults { kills, seed, .. } => faults::run(&workspace, kills, seed),
        Task::Fuzz { seconds, names } => fuzz::run(&workspace, seconds, &names),
        Task::Interop { names } => interop::run(&workspace, &names),
        Task::Ci => ci::run(&workspace),
        Task::Bench { against: Some(rev), rounds, quick, pin, names, args, .. } => {
            bench::against(&workspace, &bench::Against { rev, rounds, quick, pin, args }, &names)
        }
        Task::Bench { peers, names, args, .. } => bench::run(&workspace, peers, &names, &args),
    }
}
