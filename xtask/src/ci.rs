//! Every check that a change must pass, as named steps with their times.

use crate::demo;
use crate::workspace::{Workspace, show};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments that keep an example brief; without an entry it is run without any.
/// An example with `None` asks for something that CI does not have, and is only built.
const EXAMPLE_ARGUMENTS: [(&str, Option<&[&str]>); 2] =
    [("digits", Some(&["--epochs", "1"])), ("parity", None)];

/// A name, and what is done.
struct Step<'a> {
    name: String,
    action: Box<dyn FnOnce() -> Result<()> + 'a>,
}

impl<'a> Step<'a> {
    fn new(name: impl Into<String>, action: impl FnOnce() -> Result<()> + 'a) -> Self {
        Self { name: name.into(), action: Box::new(action) }
    }
}

/// How a step went.
struct Outcome {
    name: String,
    time: Duration,
    result: Result<()>,
}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let command = |name: &str, mut command: Command| {
        command.stdin(Stdio::null());
        Step::new(name, move || {
            eprintln!("$ {}", show(&command));
            workspace.run(command)
        })
    };
    let mut doc = workspace.cargo(["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    let mut steps = vec![
        command("format", workspace.cargo(["fmt", "--all", "--check"])),
        command(
            "clippy",
            workspace.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ),
        command("test", workspace.test(&[])),
        command("doc", doc),
    ];
    for name in workspace.programs("examples")? {
        if let Some(args) = example(&name) {
            steps.push(command(&format!("example {name}"), workspace.cargo(args)));
        }
    }
    steps.push(Step::new("demo", || demo::run(workspace, &[])));
    steps.push(Step::new("outside", || outside(workspace)));
    let outcomes = run_steps(steps);
    print!("\n{}", summary(&outcomes));
    match outcomes.into_iter().last() {
        Some(Outcome { name, result: Err(error), .. }) => {
            Err(error.context(format!("the step \"{name}\" failed; the steps after it were not run")))
        }
        _ => Ok(()),
    }
}

/// Cargo's arguments for running an example, if it can be run.
fn example(name: &str) -> Option<Vec<&str>> {
    let entry = EXAMPLE_ARGUMENTS.iter().find(|(known, _)| *known == name);
    let args = match entry {
        Some((_, args)) => (*args)?,
        None => &[],
    };
    Some(["run", "--quiet", "--example", name, "--"].into_iter().chain(args.iter().copied()).collect())
}

/// Builds and runs the small project outside the workspace. It takes the workspace's lock file and target folder,
/// so that it has the same versions and finds torch-sys compiled.
fn outside(workspace: &Workspace) -> Result<()> {
    let lock = "tests/outside/Cargo.lock";
    std::fs::copy(workspace.path("Cargo.lock"), workspace.path(lock))
        .with_context(|| format!("cannot copy Cargo.lock to {lock}"))?;
    let mut command = workspace.cargo(["run", "--manifest-path", "tests/outside/Cargo.toml"]);
    command.env("CARGO_TARGET_DIR", workspace.target()).stdin(Stdio::null());
    eprintln!("$ {}", show(&command));
    let printed = workspace.output(command)?;
    if printed.lines().last() != Some("ok") {
        bail!("the project in tests/outside printed {printed:?}, and not `ok` last");
    }
    Ok(())
}

/// Runs the steps in order, up to the first that fails.
fn run_steps(steps: Vec<Step<'_>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for Step { name, action } in steps {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let result = action();
        let failed = result.is_err();
        outcomes.push(Outcome { name, time: start.elapsed(), result });
        if failed {
            break;
        }
    }
    outcomes
}

fn summary(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or(0).max("total".len());
    let row = |name: &str, time: Duration, end: &str| {
        format!("{name:width$}  {:>7.1} s  {end}\n", time.as_secs_f64())
    };
    let mut text: String = outcomes
        .iter()
        .map(|outcome| row(&outcome.name, outcome.time, if outcome.result.is_ok() { "ok" } else { "FAILED" }))
        .collect();
    text.push_str(row("total", outcomes.iter().map(|outcome| outcome.time).sum(), "").trim_end());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stop_at_the_first_failure_and_the_summary_names_it() {
        let steps = vec![
            Step::new("one", || Ok(())),
            Step::new("two", || bail!("no")),
            Step::new("three", || panic!("must not run")),
        ];
        let mut outcomes = run_steps(steps);
        for outcome in &mut outcomes {
            outcome.time = Duration::from_millis(1500);
        }
        assert_eq!(summary(&outcomes), "one        1.5 s  ok\ntwo        1.5 s  FAILED\ntotal      3.0 s\n");
    }

    #[test]
    fn examples_get_their_arguments() {
        assert_eq!(example("minimal"), Some(vec!["run", "--quiet", "--example", "minimal", "--"]));
        assert_eq!(example("digits").and_then(|args| args.last().copied()), Some("1"));
        assert_eq!(example("parity"), None);
    }
}
