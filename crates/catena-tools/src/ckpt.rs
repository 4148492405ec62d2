//! `catena ckpt`: a file a command.
mod diff;
mod export;
mod list;
mod prune;
mod show;
mod verify;

use clap::Subcommand;

use crate::failure::Result;
use crate::report::Report;

#[derive(Subcommand)]
pub(crate) enum Command {
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Diff(diff::Diff),
    Export(export::Export),
    Prune(prune::Prune),
}

impl Command {
    pub(crate) fn run(self) -> Result<Report> {
        match self {
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Verify(verify) => verify.run(),
            Self::Diff(diff) => diff.run(),
            Self::Export(export) => export.run(),
            Self::Prune(prune) => prune.run(),
        }
    }
}
