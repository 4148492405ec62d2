//! What a run directory holds, read for the page: tolerant of what is missing, damaged or still being written.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catena_record::formats::{journal as journal_file, metrics as metrics_file, run, timing as timing_file};

use super::checkpoints::{self, Checkpoints};
use super::logged::Logged;
use super::matrix::Matrix;
use super::notes::Notes;
use super::ruler::Ruler;
use super::settings::{self, About};
use super::skipped::Skipped;
use super::spans::Spans;
use super::timing::{self, Syncs, Timing};
use super::{csv_files, journal, metrics};
use crate::failure::Result;
use crate::model::curve::Curve;
use crate::model::curves::{Curves, MOST};
use crate::model::name::Name;
use crate::run_directory;

/// A run, read.
#[derive(Debug, Default)]
pub(crate) struct RunData {
    /// What the page calls it.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
    pub(crate) about: About,
    pub(crate) curves: BTreeMap<Name, Curve>,
    pub(crate) matrices: BTreeMap<String, Matrix>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) spans: Spans,
    pub(crate) skipped: Skipped,
    pub(crate) syncs: Syncs,
    /// What the reader of the page should know of the reading.
    pub(crate) notes: Notes,
    /// Steps, epochs and seconds since the start, by batch.
    pub(crate) steps: Ruler,
    pub(crate) epochs: Ruler,
    pub(crate) clock: Ruler,
}

impl RunData {
    /// Reads the files one after the other and puts together what they tell.
    pub(crate) fn read(path: &Path, label: String) -> Result<Self> {
        let files = [run::NAME, metrics_file::NAME, journal_file::NAME, timing_file::NAME];
        let parts: Vec<&str> = files.into_iter().chain(["metrics", "checkpoints"]).collect();
        run_directory::check_parts(path, &parts)?;
        let (about, mut notes) = settings::read(path)?;
        let logged = match metrics::read(path, &about.plan)? {
            Some(logged) => logged,
            None => csv_files::read(path, &about.plan)?,
        };
        let Logged { mut curves, matrices, mut steps, mut epochs, notes: of_metrics } = logged;
        notes.join(of_metrics);
        let journal = journal::read(path)?;
        curves.join(journal.curves);
        epochs.join(journal.epochs);
        notes.join(journal.notes);
        if let Some((batch, step)) = journal.last
            && steps.last().is_none_or(|(known, _)| known < batch)
        {
            steps.add(batch, step);
        }
        let Timing { clock, taken, curves: of_timing, mut spans, syncs, notes: of_clock } =
            timing::read(path, &about.plan, &steps)?;
        curves.join(of_timing);
        notes.join(of_clock);
        spans.read_traces(path, &mut notes)?;
        curves.join(checkpoints::costs(&taken, &steps));
        let (checkpoints, of_checkpoints) = checkpoints::examine(path, taken, about.plan.best())?;
        notes.join(of_checkpoints);
        tell_of_curves(&curves, &mut notes);
        Ok(Self {
            label,
            path: path.to_owned(),
            epochs: epochs.ruler(&about.plan),
            about,
            curves: curves.named,
            matrices,
            checkpoints,
            spans,
            skipped: journal.skipped,
            syncs,
            notes,
            steps,
            clock: clock.thinned(2000),
        })
    }
}

/// Says which curves are left out, and which have gaps.
fn tell_of_curves(curves: &Curves, notes: &mut Notes) {
    if curves.is_full {
        notes.add(format!("there are more than {MOST} names of values; those that came later are left out"));
    }
    for (name, curve) in curves.named.iter().filter(|(_, curve)| curve.not_finite > 0) {
        let of = if name.of.is_empty() { String::new() } else { format!(" ({})", name.of) };
        let (chart, some, all) = (&name.chart, curve.not_finite, curve.seen);
        notes.add(format!("{chart}{of}: {some} of {all} values are not finite and are gaps in the curve"));
    }
}
