//! Every check that a change must pass, as named steps with their times.

use crate::demo;
use crate::steps::{self, Step};
use crate::workspace::{Workspace, show};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Arguments that keep an example brief; without an entry it is run without any.
/// An example with `None` asks for something that CI does not have, and is only built.
const EXAMPLE_ARGUMENTS: [(&str, Option<&[&str]>); 2] =
    [("digits", Some(&["--epochs", "1"])), ("parity", None)];

/// Features of loggers, each of which must compile without the others.
const LOGGER_FEATURES: [&str; 4] = ["tensorboard", "http", "mlflow", "https"];

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
        // with what tests need beside them a feature that is missing would not be seen
        command(
            "features none",
            workspace.cargo([
                "clippy",
                "--package",
                "catena",
                "--no-default-features",
                "--",
                "-D",
                "warnings",
            ]),
        ),
    ];
    for feature in LOGGER_FEATURES {
        let check = ["clippy", "--package", "catena-loggers", "--features", feature, "--", "-D", "warnings"];
        steps.push(command(&format!("features {feature}"), workspace.cargo(check)));
    }
    steps.push(command("test", workspace.test(&[])));
    steps.push(command("doc", doc));
    for name in workspace.programs("examples")? {
        if let Some(args) = example(&name) {
            steps.push(command(&format!("example {name}"), workspace.cargo(args)));
        }
    }
    steps.push(Step::new("demo", || demo::run(workspace, &[])));
    steps.push(Step::new("outside", || outside(workspace)));
    steps::run(steps)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_get_their_arguments() {
        assert_eq!(example("minimal"), Some(vec!["run", "--quiet", "--example", "minimal", "--"]));
        assert_eq!(example("digits").and_then(|args| args.last().copied()), Some("1"));
        assert_eq!(example("parity"), None);
    }
}
