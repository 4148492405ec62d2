//! `catena ckpt export`: a snapshot's model as a file of its own.
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output;
use crate::report::{self, Report, count};
use crate::snapshots;

/// Write a checkpoint's model to a safetensors file, which PyTorch loads as it is.
///
/// The checkpoint is verified first.
#[derive(Args)]
pub(crate) struct Export {
    /// The run directory, or a checkpoint's folder.
    run: PathBuf,
    /// The checkpoint: its name, its batch number (the last of that batch), or a path [default: the newest].
    name: Option<String>,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

const MODEL: &str = "model.safetensors";

impl Export {
    pub(crate) fn run(self) -> Result<Report> {
        let Self { run, name, output, force } = self;
        let path = snapshots::find(&run, name.as_deref())?;
        let loaded = snapshots::load(&path)?;
        let model = loaded.files.get(MODEL);
        let model = model.ok_or_else(|| Failure::Usage(format!("{} has no {MODEL}", path.display())))?;
        output::check(&output)?;
        output::write(&output, &model.bytes, force)?;
        let (n, bytes) = (model.tensors.len(), model.bytes.len() as u64);
        let (to, from) = (output.display().to_string(), path.display().to_string());
        let text = format!("Wrote {to}: {}, {}, of {from}.\n", count(n, "tensor"), report::size(bytes));
        let json = json!({ "output": to, "checkpoint": from, "tensors": n, "size": bytes });
        Ok(Report { text, json, good: true })
    }
}
