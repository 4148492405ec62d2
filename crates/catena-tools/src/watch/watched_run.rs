//! What is known of a run: pure data, fed with lines and looked at by what draws.
use super::checkpoints::Checkpoints;
use super::pace::Pace;
use crate::holder::{GONE_AFTER, Holder};
use crate::model::name;
use crate::model::plan::{Place, Plan};
use crate::model::series::Series;
use crate::model::time::seconds;
use catena_record::SnapshotName;
use catena_record::formats::journal::JournalRow;
use catena_record::formats::metrics::{Metric, MetricsRow};
use catena_record::formats::run::RUNNING;
use catena_record::formats::timing::{Throughput, TimingRow};

/// The most curves; a run that logs ever new names is not followed beyond.
const MOST_CURVES: usize = 256;

/// How many lines the journal holds back before it writes them.
const JOURNAL_WAITS: f64 = 256.0;

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchedRun {
    /// The run directory, as it was given.
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) timing: Timing,
    pub(crate) kept: Checkpoints,
    pub(crate) holder: Holder,
    /// When a file of the run last changed, in seconds since 1970.
    pub(crate) changed: Option<f64>,
    /// What was seen of the run's pace while it was watched.
    pub(crate) seen: Pace,
    /// What can't be read, and why.
    pub(crate) unreadable: Vec<String>,
    /// Whether the files are not read to their end yet.
    pub(crate) behind: bool,
}

/// What the journal says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) last: Option<Position>,
    pub(crate) loss: Series,
    pub(crate) lr: Series,
    pub(crate) grad_norm: Series,
    pub(crate) bad: Bad,
}

/// What `metrics.jsonl` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) last: Option<Position>,
    /// By metric, then by loader, in the order in which they were first seen.
    named: Vec<(String, Vec<Line>)>,
    count: usize,
    pub(crate) bad: Bad,
}

/// What `timing.jsonl` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timing {
    pub(crate) throughput: Option<Throughput>,
    /// How much of the run's time its snapshots took.
    pub(crate) share: Option<f64>,
    pace: Pace,
    pub(crate) bad: Bad,
}

/// What a file of lines says.
pub(crate) trait Part: Default {
    /// Takes a line.
    fn line(&mut self, line: &[u8]);
    /// The lines that could not be read.
    fn bad(&mut self) -> &mut Bad;
}

/// A place in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Position {
    pub(crate) stage: String,
    pub(crate) epoch: u64,
    pub(crate) batch: u64,
    pub(crate) step: u64,
}

/// A curve of a metric.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The loader.
    pub(crate) loader: String,
    /// Whether its values are those of single batches.
    pub(crate) by_batch: bool,
    pub(crate) series: Series,
}

/// A metric with all its curves.
#[derive(Clone, Debug)]
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    /// By step, from the journal.
    pub(crate) steps: Option<&'a Series>,
    pub(crate) lines: &'a [Line],
}

/// Lines that could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bad {
    pub(crate) lines: u64,
    /// The number of the first of them, from 1.
    pub(crate) first: u64,
    read: u64,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not written what it is yet.
    Unknown,
    /// It is going on.
    Running,
    /// It says that it is going on, but its process is not there.
    Gone,
    /// It ended, and says how.
    Ended,
}

impl WatchedRun {
    /// The last place that the files tell of.
    pub(crate) fn position(&self) -> Option<&Position> {
        let (journal, metrics) = (self.journal.last.as_ref(), self.metrics.last.as_ref());
        match (journal, metrics) {
            (Some(a), Some(b)) => Some(if b.batch > a.batch { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// Where that is in the plan.
    pub(crate) fn place(&self) -> Place {
        let place = |p: &Position| self.plan.place(&p.stage, p.epoch, p.batch);
        self.position().map(place).unwrap_or_default()
    }

    pub(crate) fn standing(&self, now: f64) -> Standing {
        match (self.plan.file.status.as_str(), self.holder) {
            ("", _) => Standing::Unknown,
            (RUNNING, Holder::Nobody) if self.silent(now) > GONE_AFTER => Standing::Gone,
            (RUNNING, _) => Standing::Running,
            _ => Standing::Ended,
        }
    }

    /// For how many seconds no file of the run has changed.
    pub(crate) fn silent(&self, now: f64) -> f64 {
        self.changed.map_or(0.0, |changed| (now - changed).max(0.0))
    }

    /// Whether the run has been silent for longer than its pace explains.
    pub(crate) fn is_stuck(&self, now: f64) -> bool {
        let steps = self.position().map_or(1.0, |p| p.step as f64 / (p.batch.max(1)) as f64);
        let usual = self.pace().map_or(600.0, |pace| 3.0 * JOURNAL_WAITS / (pace * steps).max(1e-9));
        self.standing(now) == Standing::Running && self.silent(now) > usual.clamp(120.0, 86_400.0)
    }

    /// Train batches a second, evaluations and snapshots included.
    pub(crate) fn pace(&self) -> Option<f64> {
        let since_start = || {
            let (started, position) = (self.plan.started()?, self.position()?);
            let until = self.plan.ended().or(self.changed)?;
            (until > started).then(|| position.batch as f64 / (until - started))
        };
        let positive = |pace: &f64| pace.is_finite() && *pace > 0.0;
        let known = self.timing.pace.per_second().or_else(|| self.seen.overall());
        known.filter(positive).or_else(|| since_start().filter(positive))
    }

    /// How many seconds are left, if the run goes on as it did.
    pub(crate) fn left(&self, now: f64) -> Option<f64> {
        if self.standing(now) != Standing::Running {
            return None;
        }
        let place = self.place();
        if let Some(((done, all), pace)) = place.batches.zip(self.pace()) {
            return Some(all.saturating_sub(done) as f64 / pace);
        }
        let share = place.share.filter(|share| *share > 0.0)?;
        Some(self.elapsed(now)? * (1.0 - share) / share)
    }

    /// How long the run has been going on, or was.
    pub(crate) fn elapsed(&self, now: f64) -> Option<f64> {
        let until = match self.standing(now) {
            Standing::Ended => self.plan.ended(),
            Standing::Gone => self.changed,
            Standing::Running | Standing::Unknown => Some(now),
        };
        Some((until? - self.plan.started()?).max(0.0))
    }

    /// The metrics that can be drawn: the loss first, what the journal knows besides last.
    pub(crate) fn curves(&self) -> Vec<Curve<'_>> {
        let from_journal =
            [("loss", &self.journal.loss), ("lr", &self.journal.lr), ("grad_norm", &self.journal.grad_norm)];
        let steps = |name: &str| {
            let (_, series) = from_journal.into_iter().find(|(known, _)| *known == name)?;
            series.last.is_some().then_some(series)
        };
        let lines = |name: &str| {
            let found = self.metrics.named.iter().find(|(known, _)| known == name);
            found.map_or(&[][..], |(_, lines)| lines.as_slice())
        };
        let others = self.metrics.named.iter().map(|(name, _)| name.as_str());
        let others = others.filter(|name| !["loss", "lr", "grad_norm"].contains(name));
        let names = std::iter::once("loss").chain(others).chain(["lr", "grad_norm"]);
        names
            .map(|name| Curve { name, steps: steps(name), lines: lines(name) })
            .filter(|curve| curve.steps.is_some() || !curve.lines.is_empty())
            .collect()
    }

    /// The loaders whose metrics are known, in the order in which they were first seen.
    pub(crate) fn loaders(&self) -> Vec<&str> {
        let mut loaders: Vec<&str> = Vec::new();
        for line in self.metrics.named.iter().flat_map(|(_, lines)| lines) {
            if !line.by_batch && !loaders.contains(&line.loader.as_str()) {
                loaders.push(&line.loader);
            }
        }
        loaders
    }
}

impl Part for Journal {
    fn bad(&mut self) -> &mut Bad {
        &mut self.bad
    }

    fn line(&mut self, line: &[u8]) {
        let Some(step) = self.bad.read::<JournalRow<'_>>(line) else { return };
        let all = [&mut self.loss, &mut self.lr, &mut self.grad_norm];
        for (series, (_, value)) in all.into_iter().zip(step.numbers()) {
            if let Some(value) = value {
                series.push(step.global_step, value);
            }
        }
        let JournalRow { stage, epoch, global_batch, global_step, .. } = step;
        Position::set(&mut self.last, &stage, epoch, global_batch, global_step);
    }
}

impl Part for Metrics {
    fn bad(&mut self) -> &mut Bad {
        &mut self.bad
    }

    fn line(&mut self, line: &[u8]) {
        let Some(row) = self.bad.read::<MetricsRow<'_>>(line) else { return };
        let (by_batch, loader) = (row.is_of_batch(), name::of_loader(&row.loader));
        for (name, metric) in &row.metrics.0 {
            let Metric::Number(value) = *metric else { continue };
            if let Some(series) = series(&mut self.named, &mut self.count, name, loader, by_batch) {
                series.push(row.global_step, value);
            }
        }
        let MetricsRow { stage, epoch, global_batch, global_step, .. } = row;
        Position::set(&mut self.last, &stage, epoch, global_batch, global_step);
    }
}

/// The curve of a metric and a loader; none if there are too many.
fn series<'a>(
    named: &'a mut Vec<(String, Vec<Line>)>,
    count: &mut usize,
    name: &str,
    loader: &str,
    by_batch: bool,
) -> Option<&'a mut Series> {
    let metric = named.iter().position(|(known, _)| known == name);
    if metric.is_none() && *count == MOST_CURVES {
        return None;
    }
    let metric = metric.unwrap_or_else(|| {
        named.push((name.to_owned(), Vec::new()));
        named.len() - 1
    });
    let lines = &mut named.get_mut(metric)?.1;
    let found = lines.iter().position(|line| line.loader == loader && line.by_batch == by_batch);
    if found.is_none() {
        if *count == MOST_CURVES {
            return None;
        }
        *count += 1;
        lines.push(Line { loader: loader.to_owned(), by_batch, series: Series::default() });
    }
    let at = found.unwrap_or(lines.len() - 1);
    Some(&mut lines.get_mut(at)?.series)
}

impl Part for Timing {
    fn bad(&mut self) -> &mut Bad {
        &mut self.bad
    }

    fn line(&mut self, line: &[u8]) {
        let Some(row) = self.bad.read::<TimingRow>(line) else { return };
        let time = seconds(&row.time);
        if let Some(share) = row.share {
            self.share = Some(share);
            let name = row.snapshot.as_deref().and_then(|name| name.parse::<SnapshotName>().ok());
            if let Some((time, name)) = time.zip(name) {
                self.pace.push(time, name.global_batch);
            }
        }
        if let Some(throughput) = row.throughput {
            self.throughput = Some(throughput);
        }
    }
}

impl Position {
    /// Writes over what was there, without taking memory for a name that stays.
    fn set(last: &mut Option<Self>, stage: &str, epoch: u64, batch: u64, step: u64) {
        let last = last.get_or_insert_default();
        if last.stage != stage {
            last.stage = stage.to_owned();
        }
        (last.epoch, last.batch, last.step) = (epoch, batch, step);
    }
}

impl Bad {
    /// Reads a line, or counts it. An empty one is nothing.
    fn read<'a, T: serde::Deserialize<'a>>(&mut self, line: &'a [u8]) -> Option<T> {
        self.read += 1;
        if line.trim_ascii().is_empty() {
            return None;
        }
        let row = serde_json::from_slice(line);
        if row.is_err() {
            self.add();
        }
        row.ok()
    }

    /// Counts lines that were not even tried.
    pub(crate) fn skip(&mut self, lines: u64) {
        for _ in 0..lines {
            self.read += 1;
            self.add();
        }
    }

    fn add(&mut self) {
        self.lines += 1;
        if self.lines == 1 {
            self.first = self.read;
        }
    }
}

#[cfg(test)]
mod tests;
