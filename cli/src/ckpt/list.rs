//! `catena ckpt list`: the snapshots of a run.
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::failure::Result;
use crate::report::{self, Report};
use crate::snapshots::{Examined, Run};

/// List the checkpoints of a run, oldest first.
///
/// Exit status 1 when one of them is damaged. Those that were set aside as damaged are named, and don't count.
#[derive(Args)]
pub(crate) struct List {
    /// The run directory.
    run: PathBuf,
    /// Check every hash; without it, the sizes and the manifest.
    #[arg(long)]
    verify: bool,
}

impl List {
    pub(crate) fn run(self) -> Result<Report> {
        let Self { run, verify } = self;
        let run = Run::open(&run)?;
        let all: Vec<Examined> = run.examine(verify)?.into_iter().map(|(_, examined)| examined).collect();
        let (corrupt, aside) = (run.corrupt()?, run.aside()?);
        let mut text = if all.is_empty() {
            format!("{} has no checkpoints yet.\n", run.path.display())
        } else {
            report::table(["name", "stage", "time", "size", "measured", "why", "state"], all.iter().map(row))
        };
        if !corrupt.is_empty() {
            text += &format!("\nSet aside as damaged: {}\n", corrupt.join(", "));
        }
        if !aside.is_empty() {
            text += &format!("\nNever gone on from: {}\n", aside.join(", "));
        }
        let json = json!({
            "run": run.path.display().to_string(),
            "verified": verify,
            "checkpoints": all.iter().map(Examined::json).collect::<Vec<_>>(),
            "corrupt": corrupt,
            "aside": aside,
        });
        Ok(Report { text, json, good: all.iter().all(|examined| examined.manifest.is_ok()) })
    }
}

fn row(examined: &Examined) -> [String; 7] {
    let (stage, time, measured, why) = match &examined.manifest {
        Ok(manifest) => {
            let measured = report::metrics(&manifest.measured);
            (manifest.stage.clone(), manifest.time.clone(), measured, manifest.why.join(", "))
        }
        Err(_) => Default::default(),
    };
    let size = examined.bytes().map_or_else(String::new, report::size);
    [examined.label.clone(), stage, time, size, measured, why, examined.state()]
}
