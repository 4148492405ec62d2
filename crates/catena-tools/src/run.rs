//! `catena run`: a file a command.
mod diff;
mod journal;

use clap::Subcommand;

use crate::failure::Result;
use crate::report::Report;

#[derive(Subcommand)]
pub(crate) enum Command {
    Diff(diff::Diff),
}

impl Command {
    pub(crate) fn run(self) -> Result<Report> {
        match self {
            Self::Diff(diff) => diff.run(),
        }
    }
}
