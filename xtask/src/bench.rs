//! The benchmarks, the same beside another commit's, and the same work in other trainers.

mod against;
mod bootstrap;
mod revision;
mod rows;

use crate::workspace::Workspace;
pub(crate) use against::Against;
use anyhow::{Result, bail};
use std::process::Command;

/// Measures other trainers at the same work; makes its own Python environment outside the repository.
const PEERS: &str = "benches/peers/run.py";

/// A contestant of the peers, and no benchmark of its own.
const STEP: &str = "step";

/// What is measured against another commit if nothing is named.
const OVERHEAD: &str = "overhead";

pub(crate) fn run(workspace: &Workspace, peers: bool, names: &[String], args: &[String]) -> Result<()> {
    let known: Vec<String> = workspace.programs("benches")?.into_iter().filter(|name| name != STEP).collect();
    let benches = if peers && names.is_empty() { &[] } else { chosen(&known, names)? };
    if !benches.is_empty() {
        let mut command = workspace.cargo(["bench", "--package", "catena"]);
        command.args(benches.iter().flat_map(|name| ["--bench", name]));
        workspace.run(command)?;
    }
    if !peers {
        return Ok(());
    }
    let mut command = Command::new("python3");
    command.arg(workspace.path(PEERS)).args(args);
    workspace.run(command)
}

/// Measures this tree beside another commit's.
pub(crate) fn against(workspace: &Workspace, against: &Against, names: &[String]) -> Result<()> {
    let known: Vec<String> = workspace.programs("benches")?.into_iter().filter(|name| name != STEP).collect();
    let usual = [OVERHEAD.to_owned()];
    against.run(workspace, if names.is_empty() { &usual } else { chosen(&known, names)? })
}

/// The benchmarks that are named, or all.
fn chosen<'a>(known: &'a [String], names: &'a [String]) -> Result<&'a [String]> {
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no benchmark \"{unknown}\" in benches: name some of {}, or none for all",
            known.join(", ")
        );
    }
    Ok(if names.is_empty() { known } else { names })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_benchmark_is_named() {
        let known = ["optim".to_owned(), "overhead".to_owned()];
        assert_eq!(chosen(&known, &[]).ok(), Some(&known[..]));
        assert_eq!(chosen(&known, &known[1..]).ok(), Some(&known[1..]));
        assert!(chosen(&known, &["speed".to_owned()]).is_err_and(|e| e.to_string().contains("\"speed\"")));
    }
}
