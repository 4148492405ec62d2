//! `catena ckpt export`: a snapshot's model as a file of its own.
use std::path::PathBuf;

use catena_record::tensors::{self, Entry};
use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output;
use crate::report::{self, Report, count};
use crate::snapshots;

/// Write a checkpoint's model, or an average of it, to a safetensors file, which PyTorch loads as it is.
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
    /// The average that a callback keeps, by the callback's name (`Ema`, `Swa`), in place of the model that was trained.
    #[arg(long, value_name = "NAME")]
    average: Option<String>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

const MODEL: &str = "model.safetensors";
const CALLBACKS: &str = "callbacks.safetensors";

/// The tensors of a callback (`Ema/fc.weight`, in a stage `0/Ema/fc.weight`), under the model's names.
fn of_callback(tensors: &[Entry], callback: &str) -> Vec<Entry> {
    let own = |entry: &Entry| {
        let (key, name) = entry.name.rsplit_once('/')?;
        let is_own = key.rsplit('/').next() == Some(callback);
        is_own.then(|| Entry { name: name.to_owned(), ..entry.clone() })
    };
    tensors.iter().filter_map(own).collect()
}

impl Export {
    pub(crate) fn run(self) -> Result<Report> {
        let Self { run, name, output, average, force } = self;
        let path = snapshots::find(&run, name.as_deref())?;
        let loaded = snapshots::load(&path)?;
        let file = |name: &str| {
            let file = loaded.files.get(name);
            file.ok_or_else(|| Failure::Usage(format!("{} has no {name}", path.display())))
        };
        output::check(&output)?;
        let averaged;
        let (bytes, n) = match average {
            None => {
                let model = file(MODEL)?;
                (&model.bytes, model.tensors.len())
            }
            Some(name) => {
                let kept = file(CALLBACKS)?;
                let own = of_callback(&kept.tensors, &name);
                if own.is_empty() {
                    return Err(Failure::Usage(format!("{} has no average of `{name}`", path.display())));
                }
                averaged = tensors::file(&own, &kept.bytes).map_err(Failure::Usage)?;
                (&averaged, own.len())
            }
        };
        output::write(&output, bytes, force)?;
        let bytes = bytes.len() as u64;
        let (to, from) = (output.display().to_string(), path.display().to_string());
        let text = format!("Wrote {to}: {}, {}, of {from}.\n", count(n, "tensor"), report::size(bytes));
        let json = json!({ "output": to, "checkpoint": from, "tensors": n, "size": bytes });
        Ok(Report { text, json, good: true })
    }
}
