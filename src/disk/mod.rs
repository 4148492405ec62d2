//! The run directory: where snapshots are staged, written and read.
mod description;
mod difference;
mod differences;
mod files;
mod loaders;
mod pending;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use catena_callbacks::SnapshotPolicy;
pub(crate) use catena_record::SafePoint;
use catena_record::formats::run::{self, RunFile};
use catena_record::formats::timing::{self, TimingRow};
use catena_record::fs::FileSystem;
use catena_record::logs::{LogFile, set_aside};
use catena_record::retention::{KeepBest, Retention, ranked_metrics};
use catena_record::{SnapshotName, Store, Writer};
use chrono::{SecondsFormat, Utc};

pub(crate) use self::description::Description;
pub(crate) use self::difference::{Difference, Remedy};
pub(crate) use self::differences::{Position, differences};
pub(crate) use self::files::Files;
pub(crate) use self::pending::{
    ByHand, CALLBACKS, GRADIENTS, MODEL, PendingSnapshot, RNG, SavedCallback, SavedState, gradients_file,
    optimizer_file,
};
use crate::ended_stage::{EndedStage, Stopped};
use crate::error::Error;
use crate::error::RunResult as Result;
use crate::report::Status;
use crate::resume::Resume;

/// The run directory of a runner.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    writer: Writer,
    timing: Option<LogFile>,
    opened: Instant,
    spent: Duration,
    /// Whether `run.json` says that the run is running.
    is_running: bool,
}

/// How a run stands, for `run.json`.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    Running,
    Ended(Status),
    /// By this error.
    Failed(String),
}

impl Standing {
    /// The field `status`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Running => run::RUNNING,
            Self::Ended(Status::Completed) => "completed",
            Self::Ended(Status::Stopped(_)) => "stopped",
            Self::Ended(Status::Interrupted(_)) => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}

/// A snapshot that was read, every byte of it verified.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) name: SnapshotName,
    pub(crate) state: SavedState,
    pub(crate) files: Files,
}

impl Disk {
    pub(crate) fn open(path: &Path, file_system: Arc<dyn FileSystem>) -> Result<Self> {
        let writer = Writer::new(Store::open(path, file_system)?)?;
        let (opened, spent) = (Instant::now(), Duration::ZERO);
        Ok(Self { path: path.to_owned(), writer, timing: None, opened, spent, is_running: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new run begins: one that is there already is not touched.
    pub(crate) fn begin(&mut self, description: &Description) -> Result<()> {
        if self.writer.store().holds_snapshots()? {
            return Err(Error::HoldsRun { path: self.path.clone() });
        }
        self.writer.store().begin()?;
        LogFile::create(self.path.join(timing::NAME), b"").map_err(|e| self.wrong(e))?;
        self.open_timing()?;
        self.describe(description, &Standing::Running, &[])
    }

    /// A run goes on from this snapshot: what is newer, damaged, left over or in a log's way is moved out of its way.
    pub(crate) fn go_on(
        &mut self,
        from: SnapshotName,
        description: &Description,
        ended: &[EndedStage],
        in_the_way: &[PathBuf],
    ) -> Result<()> {
        self.writer.store().set_newer_aside(from)?;
        for path in in_the_way {
            set_aside(path).map_err(|error| self.wrong(error))?;
        }
        self.open_timing()?;
        self.describe(description, &Standing::Running, ended)
    }

    /// The snapshots that were found damaged and passed over, for the text of a refusal; empty if there are none.
    pub(crate) fn passed_over(&mut self) -> String {
        let store = self.writer.store();
        let text = |(name, why): &(SnapshotName, String)| format!("{name} ({why})");
        let damaged: Vec<String> = store.damaged().iter().map(text).collect();
        if damaged.is_empty() {
            String::new()
        } else {
            format!("; damaged and passed over: {}", damaged.join(", "))
        }
    }

    /// Callbacks add rows to this file too.
    fn open_timing(&mut self) -> Result<()> {
        self.timing = Some(LogFile::append(self.path.join(timing::NAME)).map_err(|e| self.wrong(e))?);
        Ok(())
    }

    /// Writes `run.json`.
    pub(crate) fn describe(
        &mut self,
        description: &Description,
        standing: &Standing,
        ended_stages: &[EndedStage],
    ) -> Result<()> {
        let (at, new) = (self.path.join(run::NAME), self.path.join("run.json.new"));
        let before = std::fs::read(&at).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let started = before.map_or(Some(now()), |before: RunFile| before.started);
        let mut file = RunFile {
            status: standing.word().into(),
            started,
            ended: (*standing != Standing::Running).then(now),
            stages: ended_stages.iter().map(of_ended).collect(),
            run: description.0.clone(),
            stopped_by: None,
            error: None,
        };
        match standing {
            Standing::Ended(Status::Stopped(Stopped { by, why })) => {
                file.stopped_by = Some(run::StoppedBy { callback: by.clone(), why: why.clone() });
            }
            Standing::Failed(error) => file.error = Some(error.clone()),
            Standing::Running | Standing::Ended(_) => {}
        }
        let text = file.to_text().map_err(|error| self.wrong(error.into()))?;
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &at))
            // best effort: half a file must not stay
            .inspect_err(|_| drop(std::fs::remove_file(&new)))
            .map_err(|e| self.wrong(e))?;
        self.is_running = *standing == Standing::Running;
        Ok(())
    }

    /// Whether the run has begun or gone on, and has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    fn wrong(&self, source: std::io::Error) -> Error {
        catena_record::Error::Io { what: "can't write in", path: self.path.clone(), source }.into()
    }

    /// An error of the thread that writes surfaces here.
    pub(crate) fn poll(&mut self) -> Result<()> {
        let saved = self.writer.poll()?;
        self.tell_saved(saved);
        Ok(())
    }

    /// Waits for what is being written.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let saved = self.writer.wait()?;
        self.tell_saved(saved);
        Ok(())
    }

    fn tell_saved(&mut self, saved: Option<(String, catena_record::Saved)>) {
        let Some((name, saved)) = saved else { return };
        let write = saved.time.as_secs_f64();
        let (snapshot, bytes, write) = (Some(name), Some(saved.bytes), Some(write));
        self.tell(TimingRow { snapshot, bytes, write, ..TimingRow::default() });
    }

    /// Adds a row to `timing.jsonl`, with the time.
    fn tell(&mut self, row: TimingRow) {
        if let Some(file) = &mut self.timing {
            let row = TimingRow { time: now(), ..row };
            match row.to_line() {
                Ok(line) => file.line(&line),
                Err(error) => log::warn!("a row of {} can't be written: {error}", timing::NAME),
            }
            file.write();
        }
    }

    /// Takes a snapshot, and gives what it took of the training thread's time.
    pub(crate) fn save(&mut self, kept: PendingSnapshot, policy: &SnapshotPolicy) -> Result<Duration> {
        let started = Instant::now();
        self.wait()?;
        let wait = started.elapsed();
        let name = SnapshotName { global_batch: kept.state.progress.global_batch(), point: kept.state.point };
        let snapshot = files::stage(kept, name, self.writer.take_buffer())?;
        let stall = started.elapsed() - wait;
        self.writer.save(snapshot, policy.retention.clone())?;
        if !policy.background {
            self.wait()?;
        }
        let cost = started.elapsed();
        self.spent += cost;
        let share = self.spent.as_secs_f64() / self.opened.elapsed().as_secs_f64();
        let (stalled, waited) = (stall.as_secs_f64(), wait.as_secs_f64());
        if waited > 0.1 {
            log::info!("{name}: waited {waited:.1} s for the snapshot before it to be written");
        }
        let (snapshot, stall) = (Some(name.to_string()), Some(stalled));
        self.tell(TimingRow {
            snapshot,
            stall,
            wait: Some(waited),
            share: Some(share),
            ..TimingRow::default()
        });
        Ok(cost)
    }

    /// Saves what was there at an error.
    pub(crate) fn save_crash(&mut self, kept: PendingSnapshot, retention: &Retention) -> Result<PathBuf> {
        self.wait()?;
        let name = SnapshotName { global_batch: kept.state.progress.global_batch(), point: kept.state.point };
        let snapshot = files::stage(kept, name, self.writer.take_buffer())?;
        let at = Utc::now().format("%Y%m%dT%H%M%S%.3fZ").to_string();
        Ok(self.writer.store().save_crash(&snapshot, &at, retention)?)
    }

    /// Reads the snapshot to go on from. Newer ones are set aside once it is known to be whole.
    pub(crate) fn load(&mut self, from: &Resume) -> Result<Option<Loaded>> {
        let mut store = self.writer.store();
        let loaded = match from {
            Resume::Latest | Resume::LatestIfAny => store.load_newest()?,
            Resume::Best { metric, mode } => {
                let best = KeepBest { k: 1, metric: metric.clone(), goal: catena_callbacks::goal(*mode) };
                let name = best.ranked(store.listed()).first().map(|listed| listed.name);
                if name.is_none() && !store.listed().is_empty() {
                    let known = ranked_metrics(store.listed()).into_iter().collect::<Vec<_>>().join(", ");
                    return Err(Error::NotMeasured { metric: metric.clone(), known });
                }
                name.map(|name| store.load(name)).transpose()?
            }
            Resume::Path(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let name = name.parse::<SnapshotName>()?;
                let own = store.path(name);
                if own.canonicalize().ok() != path.canonicalize().ok() {
                    return Err(Error::Build(format!(
                        "{} is not a snapshot of {}; to start from another run's weights, use `InitFrom`",
                        path.display(),
                        self.path.display()
                    )));
                }
                Some(store.load(name)?)
            }
        };
        loaded.map(files::read).transpose()
    }

    /// Reads the newest snapshot that is older than this one.
    pub(crate) fn load_before(&mut self, name: SnapshotName) -> Result<Option<Loaded>> {
        self.writer.store().load_newest_before(name)?.map(files::read).transpose()
    }

    /// The newest snapshot that was taken between two epochs, up to this one.
    pub(crate) fn newest_between_epochs(&mut self, up_to: SnapshotName) -> Option<PathBuf> {
        let store = self.writer.store();
        let is_between = |name: &SnapshotName| *name <= up_to && name.point != SafePoint::Batch;
        let name = store.listed().iter().map(|listed| listed.name).filter(is_between).max()?;
        Some(store.path(name))
    }

    /// Removes what is not kept: a run that was killed may have left some.
    pub(crate) fn apply(&mut self, retention: &Retention) -> Result<()> {
        Ok(self.writer.store().apply(retention)?)
    }

    /// The newest snapshot of a stage, or its best by a metric.
    pub(crate) fn of_stage(&mut self, stage: &str, best: Option<&KeepBest>) -> Result<Option<Loaded>> {
        self.wait()?;
        let store = self.writer.store();
        let here: Vec<_> = store.listed().iter().filter(|listed| listed.stage == stage).cloned().collect();
        let name = match best {
            Some(best) => best.ranked(&here).first().map(|listed| listed.name),
            None => here.last().map(|listed| listed.name),
        };
        name.map(|name| files::read(store.load(name)?)).transpose()
    }
}

fn of_ended(EndedStage { stage, epoch, epochs, stopped }: &EndedStage) -> run::EndedStage {
    let stopped =
        stopped.as_ref().map(|Stopped { by, why }| run::StoppedStage { by: by.clone(), why: why.clone() });
    run::EndedStage { stage: stage.clone(), epoch: *epoch, epochs: *epochs, stopped }
}

/// The time, for what the clock may say.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What reads a state that another may have written.
#[cfg(fuzzing)]
pub fn read_state(state: &serde_json::Value) -> bool {
    catena_record::float::from_value::<SavedState>(state).is_ok()
}
