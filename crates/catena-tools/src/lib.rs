//! The program `catena` as a library, so that other programs can ask it what it says: it looks at what runs left on disk. It needs no libtorch, and but
//! for `prune`, `export` and `report` it changes nothing.
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod ckpt;
mod failure;
mod holder;
mod model;
mod number;
mod output;
mod page;
mod report;
mod run;
mod run_directory;
mod snapshots;
mod watch;

use std::ffi::OsString;

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

/// What the program says, and its exit status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub output: String,
    /// For standard error.
    pub error: String,
    /// The exit status.
    pub status: u8,
}

/// Does what these arguments ask for; the first is the program's name.
///
/// ```
/// let answer = catena_tools::answer(["catena", "ckpt", "list", "no such run"]);
/// assert_eq!(answer.status, 2);
/// assert!(answer.error.starts_with("error: there is no directory"), "{}", answer.error);
/// ```
pub fn answer<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> Answer {
    let Cli { command, json } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(told) => {
            let text = told.render().to_string();
            let status = u8::try_from(told.exit_code()).unwrap_or(2);
            return match told.use_stderr() {
                true => Answer { error: text, status, ..Answer::default() },
                false => Answer { output: text, status, ..Answer::default() },
            };
        }
    };
    let result = match command {
        Command::Ckpt(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Watch(watch) => watch.run(json),
        Command::Report(page) => page.run(),
    };
    match result {
        Ok(report) => {
            let text = if json { format!("{:#}\n", report.json) } else { report.text };
            let status = u8::from(!report.good);
            Answer { output: report::printable(&text), error: String::new(), status }
        }
        Err(failure) => {
            let text = failure.to_string();
            let output = if json { format!("{:#}\n", json!({ "error": text })) } else { String::new() };
            let error = format!("error: {}\n", report::printable(&text));
            Answer { output: report::printable(&output), error, status: failure.status() }
        }
    }
}

/// What reads files that others may have written, for programs that try what it does with any bytes.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    /// The page of a run directory, without the library that draws.
    pub fn page(run: &Path) -> Option<String> {
        crate::page::body(run)
    }
}
