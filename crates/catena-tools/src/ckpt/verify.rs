//! `catena ckpt verify`: whether every snapshot is what was written.
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::failure::Result;
use crate::report::{self, Report, count};
use crate::snapshots::{self, Examined, Run};

/// Check every byte of every checkpoint of a run, and the logs that a run which goes on from it needs.
///
/// Those set aside when the run went on from an older one, and those that errors left, are checked too; those already set aside as
/// damaged are not. Exit status 1 when one is damaged or can't be read, or when a log is not as it was.
#[derive(Args)]
pub(crate) struct Verify {
    /// The run directory.
    run: PathBuf,
}

impl Verify {
    pub(crate) fn run(self) -> Result<Report> {
        let run = Run::open(&self.run)?;
        let mut all: Vec<Examined> = run.examine(true)?.into_iter().map(|(_, examined)| examined).collect();
        all.iter_mut().for_each(|examined| examined.check_logs(&run.path));
        let aside = run.aside()?.into_iter();
        all.extend(aside.filter_map(|path| snapshots::examine(path.clone(), &run.path.join(path), true)));
        let bad = all.iter().filter(|examined| examined.manifest.is_err()).count();
        let unlike = all.iter().filter(|examined| !examined.logs.is_empty()).count();
        let row = |examined: &Examined| {
            [
                examined.label.clone(),
                examined.bytes().map_or_else(String::new, report::size),
                examined.state(),
            ]
        };
        let mut text = String::new();
        if !all.is_empty() {
            text = report::table(["name", "size", "state"], all.iter().map(row)) + "\n";
        }
        text += &match (all.len(), bad) {
            (0, _) => format!("{} has no checkpoints yet.\n", run.path.display()),
            (n, 0) if unlike == 0 => format!("{}, all whole.\n", count(n, "checkpoint")),
            (n, 0) => format!(
                "{}, all whole. {unlike} of them can't be gone on with as it is: put the logs back, or allow `logs`.\n",
                count(n, "checkpoint")
            ),
            (n, bad) => format!("{}, {bad} of them not whole.\n", count(n, "checkpoint")),
        };
        let json = json!({
            "run": run.path.display().to_string(),
            "checkpoints": all.iter().map(Examined::json).collect::<Vec<_>>(),
            "bad": bad,
            "other_logs": unlike,
        });
        Ok(Report { text, json, good: bad == 0 && unlike == 0 })
    }
}
