//! `catena ckpt export`: a snapshot's model as a file of its own.
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Result};
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
        if output.parent().is_some_and(|folder| folder.join("manifest.json").exists()) {
            let at = output.display();
            let wrong =
                format!("{at} would lie in a checkpoint's folder and damage it; give a path elsewhere");
            return Err(Failure::Usage(wrong));
        }
        write(&output, &model.bytes, force)?;
        let (n, bytes) = (model.tensors.len(), model.bytes.len() as u64);
        let (to, from) = (output.display().to_string(), path.display().to_string());
        let text = format!("Wrote {to}: {}, {}, of {from}.\n", count(n, "tensor"), report::size(bytes));
        let json = json!({ "output": to, "checkpoint": from, "tensors": n, "size": bytes });
        Ok(Report { text, json, good: true })
    }
}

/// Writes the whole file or none.
fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let io = |error| Failure::io("can't write", path)(error);
    if path.file_name().is_none() {
        return Err(Failure::Usage(format!("{} is no file's path", path.display())));
    }
    if !force {
        // takes the name, so that two that export at once don't overwrite each other's
        File::create_new(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                let at = path.display();
                Failure::Usage(format!("{at} is there already; --force replaces it"))
            }
            _ => io(error),
        })?;
    }
    let temporary = path.with_file_name(format!(".tmp-catena-export-{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // what can't be removed either is no more news than the error
        let _removed = fs::remove_file(&temporary);
        if !force {
            let _removed = fs::remove_file(path);
        }
        io(error)
    })
}
