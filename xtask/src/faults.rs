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

/// Disturbs a run so often.
pub(crate) fn days(workspace: &Workspace, interruptions: u64, seed: Option<u64>) -> Result<()> {
    let mut command = workspace.cargo(["test", "--package", "catena", "--test", "soak", "--"]);
    command.args(["--interruptions", &interruptions.to_string()]);
    command.args(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    workspace.run(command)
}

/// Tries random chains in two processes, each with half of the seeds.
pub(crate) fn chains(workspace: &Workspace, chains: u64) -> Result<()> {
    let test = |from: u64, chains: u64| {
        let mut command =
            workspace.cargo(["test", "--package", "catena", "--test", "random_chains", "--", "--nocapture"]);
        command.env("CATENA_CHAINS", chains.to_string()).env("CATENA_CHAINS_FROM", from.to_string());
        command
    };
    // the second half's seeds lie far from the first's, of which some are refused
    let mut first = test(0, chains.div_ceil(2)).spawn()?;
    let second = workspace.run(test(1 << 32, chains / 2));
    anyhow::ensure!(first.wait()?.success(), "the first half of the chains failed");
    second
}
