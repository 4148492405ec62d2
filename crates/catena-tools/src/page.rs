//! `catena report`: a page that shows runs, and opens without a network.
mod charts;
mod checkpoints;
mod csv_files;
mod document;
mod epochs;
mod html;
mod journal;
mod logged;
mod matrix;
mod metrics;
mod notes;
mod ruler;
mod run_data;
mod sections;
mod settings;
mod skipped;
mod spans;
mod timing;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output;
use crate::report::{Report, count, size};
use run_data::RunData;

/// Make a page of one or several runs: curves, timings, checkpoints, settings and how they differ.
///
/// The page opens in a browser without a network. A run that is going on can be looked at. What can't be read is left out, and
/// counted on the page; exit status 1 if something is damaged.
#[derive(Args)]
pub(crate) struct Page {
    /// The run directories.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file to write. An earlier report is replaced.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Replace the file even if it is no report.
    #[arg(long)]
    force: bool,
}

impl Page {
    pub(crate) fn run(self) -> Result<Report> {
        let Self { runs, output, force } = self;
        output::check(&output)?;
        let force = force || is_report(&output)?;
        if output.exists() && !force {
            let at = output.display();
            return Err(Failure::Usage(format!(
                "{at} is there already and is no report; --force replaces it"
            )));
        }
        let read = runs.iter().zip(labels(&runs)).map(|(path, label)| RunData::read(path, label));
        let records: Vec<RunData> = read.collect::<Result<_>>()?;
        let page = document::of(&records)?;
        output::write(&output, page.html.as_bytes(), force)?;

        let to = output.display().to_string();
        let (n, charts, bytes) = (records.len(), page.charts, page.html.len() as u64);
        let mut text =
            format!("Wrote {to}: {}, {}, {}.\n", count(n, "run"), count(charts, "chart"), size(bytes));
        for record in &records {
            text.extend(record.notes.texts.iter().map(|note| format!("{}: {note}\n", record.label)));
        }
        let about = |record: &RunData| json!({ "name": record.label, "path": record.path.display().to_string(), "notes": record.notes.texts });
        let about: Vec<_> = records.iter().map(about).collect();
        let json = json!({ "output": to, "size": bytes, "charts": charts, "runs": about });
        Ok(Report { text, json, good: !records.iter().any(|record| record.notes.damaged) })
    }
}

/// What stands on the page of a run.
#[cfg(fuzzing)]
pub(crate) fn body(run: &Path) -> Option<String> {
    let records = [RunData::read(run, "run".into()).ok()?];
    Some(html::written(document::body(&records, &mut charts::Charts::new(&records))))
}

/// Whether a file is a page that this program wrote.
fn is_report(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1024).read_to_end(&mut start));
    read.map_err(Failure::io("can't read", path))?;
    Ok(String::from_utf8_lossy(&start).contains(document::MARK))
}

/// What the runs are called: the last part of their paths, or the whole where that is not enough.
fn labels(paths: &[PathBuf]) -> Vec<String> {
    let short = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.or_else(|| Some(path.canonicalize().ok()?.file_name()?.to_string_lossy().into_owned()))
    };
    let names: Vec<Option<String>> = paths.iter().map(short).collect();
    let is_one = |name: &Option<String>| names.iter().filter(|other| *other == name).count() == 1;
    let label = |(path, name): (&PathBuf, &Option<String>)| match name {
        Some(text) if is_one(name) => text.clone(),
        _ => path.display().to_string(),
    };
    paths.iter().zip(&names).map(label).collect()
}
