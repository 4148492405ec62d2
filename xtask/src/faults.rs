//! Faults and kills: what a run on disk must survive.

use crate::workspace::Workspace;
use anyhow::Result;

pub(crate) fn run(workspace: &Workspace, kills: u64, seed: Option<u64>) -> Result<()> {
    workspace.run(workspace.cargo(["test", "--package", "catena-record"]))?;
    let mut command = workspace.cargo(["test", "--package", "catena", "--test", "kills", "--"]);
    command.args(["--kills", &kills.to_string()]);
    command.args(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    workspace.run(command)
}
