//! `catena`: looks at what runs left on disk. It needs no libtorch, and but for `prune`, `export` and `report` it changes nothing.
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod ckpt;
mod failure;
mod holder;
mod number;
mod output;
mod page;
mod report;
mod run;
mod run_directory;
mod snapshots;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

/// Looks at what training runs left on disk.
///
/// Exit status: 0, 1 when something is damaged or two things that are compared differ, 2 when what was asked can't be done.
#[derive(Parser)]
#[command(name = "catena", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON in place of text.
    #[arg(long, global = true, display_order = 900)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Checkpoints: list, look into, verify, compare, export, prune.
    #[command(subcommand)]
    Ckpt(ckpt::Command),
    /// Whole runs: compare.
    #[command(subcommand)]
    Run(run::Command),
    Watch(watch::Watch),
    Report(page::Page),
}

fn main() -> ExitCode {
    let Cli { command, json } = Cli::parse();
    let result = match command {
        Command::Ckpt(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Watch(watch) => watch.run(json),
        Command::Report(page) => page.run(),
    };
    let (output, status) = match result {
        Ok(report) => {
            (if json { format!("{:#}\n", report.json) } else { report.text }, u8::from(!report.good))
        }
        Err(failure) => {
            let text = failure.to_string();
            // nowhere is left to tell of a standard error that can't be written
            let _told = writeln!(io::stderr(), "error: {}", report::printable(&text));
            (if json { format!("{:#}\n", json!({ "error": text })) } else { String::new() }, failure.status())
        }
    };
    match io::stdout().write_all(report::printable(&output).as_bytes()) {
        // `| head` has seen enough
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(2),
        _ => ExitCode::from(status),
    }
}
