//! `catena ckpt prune`: removes the snapshots that retention does not keep.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catena_record::fs::Os;
use catena_record::retention::{Goal, KeepBest, Retention, ranked_metrics};
use catena_record::{Error, Listed, SnapshotName, Store};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::report::{self, Report, count};
use crate::snapshots::{Examined, Run};

/// Remove the checkpoints of a run that are not to be kept.
///
/// What is kept is verified first; if it is damaged, nothing is removed. A run that is going on has its directory locked and can't be
/// pruned.
#[derive(Args)]
pub(crate) struct Prune {
    /// The run directory.
    run: PathBuf,
    /// How many of the newest are kept.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: u32,
    /// How many of the best by a metric are kept.
    #[arg(long, value_name = "K", requires = "metric", requires = "mode", value_parser = clap::value_parser!(u32).range(1..))]
    keep_best: Option<u32>,
    /// The metric's whole name, such as valid/loss.
    #[arg(long, value_name = "NAME", requires = "keep_best")]
    metric: Option<String>,
    /// Whether lower or higher is better.
    #[arg(long, requires = "keep_best")]
    mode: Option<Mode>,
    /// Every M-th checkpoint that the run took is kept.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    keep_every: Option<u64>,
    /// How many of the newest folders in crash/, which errors leave, are kept [default: all].
    #[arg(long, value_name = "N")]
    keep_crashes: Option<usize>,
    /// How many of the newest folders in checkpoints/superseded/ are kept, which going on from an older checkpoint leaves [default: all].
    #[arg(long, value_name = "N")]
    keep_superseded: Option<usize>,
    /// Only tell what would be removed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Min,
    Max,
}

impl Prune {
    pub(crate) fn run(self) -> Result<Report> {
        let run = Run::open(&self.run)?;
        let retention = self.retention();
        // opened first: what is decided from is what no run changes any more
        let mut store = if self.dry_run { None } else { Some(open(&run.path)?) };
        let examined = run.examine(false)?;
        let listed: Vec<Listed> = match &store {
            Some(store) => store.listed().to_vec(),
            None => examined.iter().filter_map(listed).collect(),
        };
        if let Some(KeepBest { metric, .. }) = &retention.best {
            is_measured(metric, &listed)?;
        }
        let doomed = retention.doomed(&listed);
        let kept: Vec<SnapshotName> =
            listed.iter().map(|l| l.name).filter(|name| !doomed.contains(name)).collect();
        if !doomed.is_empty() {
            kept.iter().try_for_each(|name| is_whole(&run.path(*name)))?;
        }
        let size =
            |(name, e): &(SnapshotName, Examined)| if doomed.contains(name) { e.bytes() } else { None };
        let aside = Store::aside_to_go(&run.path, &Os, &retention);
        let bytes: u64 = examined.iter().filter_map(size).sum();
        if let Some(store) = &mut store {
            store.apply(&retention)?;
        }

        let bad: Vec<&Examined> = examined.iter().map(|(_, e)| e).filter(|e| e.manifest.is_err()).collect();
        let done = if self.dry_run { "would be removed" } else { "removed" };
        let rows = listed.iter().map(|l| {
            let fate = if doomed.contains(&l.name) { done } else { "kept" };
            [l.name.to_string(), report::metrics(&l.measured), fate.to_owned()]
        });
        let mut text = String::new();
        if !listed.is_empty() {
            text = report::table(["name", "measured", ""], rows) + "\n";
        }
        text += &format!("Kept: {retention}. ");
        text += &format!("{} {done}, {}.\n", count(doomed.len(), "checkpoint"), report::size(bytes));
        if !aside.is_empty() {
            text += &format!(
                "{}, which errors and older starts left, {done}: {}.\n",
                count(aside.len(), "folder"),
                aside.join(", ")
            );
        }
        for examined in &bad {
            text += &format!("Left alone: {}, {}\n", examined.label, examined.state());
        }
        let text_of = |names: &[SnapshotName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let json = json!({
            "run": run.path.display().to_string(),
            "dry_run": self.dry_run,
            "keep": retention,
            "kept": text_of(&kept),
            "removed": text_of(&doomed),
            "removed_aside": aside,
            "bytes": bytes,
            "left_alone": bad.iter().map(|examined| examined.json()).collect::<Vec<_>>(),
        });
        Ok(Report { text, json, good: true })
    }

    fn retention(&self) -> Retention {
        let goal = self.mode.map(|mode| match mode {
            Mode::Min => Goal::Min,
            Mode::Max => Goal::Max,
        });
        let best = match (self.keep_best, &self.metric, goal) {
            (Some(k), Some(metric), Some(goal)) => {
                Some(KeepBest { k: k as usize, metric: metric.clone(), goal })
            }
            _ => None,
        };
        let (crashes, superseded) =
            (self.keep_crashes.unwrap_or(usize::MAX), self.keep_superseded.unwrap_or(usize::MAX));
        Retention { keep_last: self.keep_last as usize, best, every: self.keep_every, crashes, superseded }
    }
}

fn open(run: &Path) -> Result<Store> {
    Store::open(run, Arc::new(Os)).map_err(|error| match error {
        Error::Locked { path } => {
            let at = path.display();
            Failure::Usage(format!("{at} is in use: its run is going on; prune it when the run has ended"))
        }
        error => error.into(),
    })
}

fn listed((name, examined): &(SnapshotName, Examined)) -> Option<Listed> {
    let manifest = examined.manifest.as_ref().ok()?;
    let (sequence, stage) = (manifest.sequence, manifest.stage.clone());
    let (measured, stopped) = (manifest.measured.clone(), manifest.stopped);
    Some(Listed { name: *name, sequence, stage, measured, stopped })
}

/// A metric that is mistyped, or NaN everywhere, would let the best go.
fn is_measured(metric: &str, listed: &[Listed]) -> Result<()> {
    let known: BTreeSet<&str> = ranked_metrics(listed);
    if known.contains(metric) {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().collect();
    let known = if known.is_empty() { "none was".to_owned() } else { known.join(", ") };
    Err(Failure::Usage(format!("no checkpoint has a number for the metric `{metric}`; measured: {known}")))
}

/// What is kept must be worth it before anything else goes.
fn is_whole(path: &Path) -> Result<()> {
    match catena_record::verify(&Os, path) {
        Ok(_) => Ok(()),
        Err(Error::Damaged { path, damage }) => {
            let at = path.display();
            let text = format!(
                "{at} would be kept, but is damaged: {damage}; nothing was removed; move it away first"
            );
            Err(Failure::Damaged(text))
        }
        Err(error) => Err(error.into()),
    }
}
