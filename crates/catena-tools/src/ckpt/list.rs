//! `catena ckpt list`: the snapshots of a run.
use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use glob::Pattern;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::report::{self, Report};
use crate::snapshots::{Examined, Run};

/// List the checkpoints of a run, oldest first.
///
/// The table is as wide as the terminal (100 columns where there is none): where what was measured does not fit in a line, it takes several,
/// and parts of metrics, such as the scores of single classes, are left out; the text below the table says how many. Exit status 1 when a
/// checkpoint is damaged, or the logs are not as the newest needs them. Those that were set aside as damaged are named, and don't count.
#[derive(Args)]
pub(crate) struct List {
    /// The run directory.
    run: PathBuf,
    /// Check every hash; without it, the sizes and the manifest.
    #[arg(long)]
    verify: bool,
    /// Show all metrics whose names fit, and no others: `valid/*`, `valid/f1_score/?`.
    #[arg(long, value_name = "PATTERN")]
    metrics: Option<String>,
}

/// How wide a table is that is not for a terminal.
const COLUMNS: usize = 100;

/// How wide the column of what was measured is at least.
const LEAST: usize = 24;

/// The heads of the table's columns, and which of them are made to fit.
const HEADS: [&str; 7] = ["name", "stage", "time", "size", "measured", "why", "state"];
const MEASURED: usize = 4;
const STATE: usize = 6;

impl List {
    pub(crate) fn run(self) -> Result<Report> {
        let Self { run, verify, metrics } = self;
        let pattern = metrics.map(|text| pattern(&text)).transpose()?;
        let run = Run::open(&run)?;
        let mut all: Vec<Examined> = run.examine(verify)?.into_iter().map(|(_, examined)| examined).collect();
        if let Some(newest) = all.last_mut() {
            newest.check_logs(&run.path);
        }
        let (corrupt, aside) = (run.corrupt()?, run.aside()?);
        let mut text = if all.is_empty() {
            format!("{} has no checkpoints yet.\n", run.path.display())
        } else {
            table(&all, pattern.as_ref(), report::columns().unwrap_or(COLUMNS))
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
        Ok(Report { text, json, good: all.iter().all(Examined::is_good) })
    }
}

/// The names of metrics that are asked for.
fn pattern(text: &str) -> Result<Pattern> {
    Pattern::new(text).map_err(|error| Failure::Usage(format!("`{text}` is no pattern of names: {error}")))
}

/// The table, at most this wide if it can be, and what it leaves out.
fn table(all: &[Examined], pattern: Option<&Pattern>, columns: usize) -> String {
    let mut rows: Vec<[String; 7]> = all.iter().map(row).collect();
    let width = |column: usize| {
        // why a checkpoint can't be used stands last, and may go on beyond the edge
        let texts = rows.iter().map(|row| &row[column]).filter(|_| column != STATE);
        let widths = texts.map(|text| text.chars().count()).chain([HEADS[column].len()]);
        widths.max().unwrap_or(0) + 2
    };
    let others: usize = (0..HEADS.len()).filter(|column| *column != MEASURED).map(width).sum();
    let room = columns.saturating_sub(others).max(LEAST);
    let mut left_out = 0;
    for (row, examined) in rows.iter_mut().zip(all) {
        let Ok(manifest) = &examined.manifest else { continue };
        let is_asked = |name: &str| pattern.is_none_or(|pattern| pattern.matches(name));
        let mut shown: BTreeMap<&str, f64> = manifest
            .measured
            .iter()
            .filter(|(name, _)| is_asked(name))
            .map(|(name, x)| (&**name, *x))
            .collect();
        let is_too_wide = report::metrics(&shown).chars().count() > room;
        if is_too_wide && pattern.is_none() {
            let before = shown.len();
            shown.retain(|name, _| !is_part(name));
            left_out = left_out.max(before - shown.len());
        }
        let lines = report::metrics_within(&shown, room);
        row[MEASURED] = lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n");
    }
    let mut text = report::table(HEADS, rows);
    if left_out > 0 {
        text += &format!(
            "\nNot shown: {} a checkpoint, such as scores of single classes; `--metrics PATTERN` or `catena ckpt show` shows them.\n",
            report::count(left_out, "value"),
        );
    }
    text
}

/// Text in which the ends of lines are escaped: a name may hold some.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// Whether a metric is one of many that belong together, such as `valid/f1_score/3`: `valid/f1_score` is whole.
fn is_part(name: &str) -> bool {
    name.matches('/').count() > 1
}

/// A checkpoint without what was measured.
fn row(examined: &Examined) -> [String; 7] {
    let (stage, time, why) = match &examined.manifest {
        Ok(manifest) => (manifest.stage.clone(), manifest.time.clone(), manifest.why.join(", ")),
        Err(_) => Default::default(),
    };
    let size = examined.bytes().map_or_else(String::new, report::size);
    [examined.label.clone(), stage, time, size, String::new(), why, examined.state()]
        .map(|text| one_line(&text))
}
