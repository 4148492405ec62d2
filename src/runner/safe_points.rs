//! Safe points: everybody has heard an end event, and now the evaluations and the snapshot that were asked for.
use catena_callbacks::{SnapshotPolicy, goal};
use catena_chain::{Edge, Stop, Work};
use catena_record::retention::KeepBest;
use catena_tensor::model::Mode;
use catena_tensor::params::parameters;
use catena_tensor::rng::Generators;

use super::Runner;
use crate::disk::{CALLBACKS, Disk, PendingSnapshot, SafePoint, SavedState, Standing, now};
use crate::error::Error;
use crate::error::RunResult as Result;
use crate::report::Status;
use crate::stage::StageLoader;
use crate::stage::StartFrom;

impl Runner {
    /// Runs the evaluations, applies the stops that are reached, and takes at most one snapshot.
    pub(super) fn safe_point(&mut self, point: SafePoint) -> Result<()> {
        let (mut asked, mut done) = (self.driver.take_evaluations(), Vec::new());
        while !asked.is_empty() && !self.take_interruption(point) {
            self.driver.put_back_evaluations(asked.clone());
            self.evaluate(point, &asked[0])?;
            let new = self.driver.take_evaluations().split_off(asked.len());
            if self.driver.context().interrupted().is_some() {
                break;
            }
            done.push(asked.remove(0));
            for name in new {
                if done.contains(&name) {
                    // two that ask for each other would never end
                    log::warn!(
                        "an evaluation on `{name}` was asked for by another at the same place, where it has run already"
                    );
                } else {
                    asked.push(name);
                }
            }
        }
        self.driver.put_back_evaluations(asked);
        self.driver.clear_stop(ends(point));
        if let Some(disk) = &mut self.disk {
            disk.poll()?;
        }
        let is_interrupted = self.take_interruption(point);
        let mut why = self.driver.take_snapshots();
        why.extend(self.driver.context().interrupted().map(str::to_owned));
        if why.is_empty() || self.is_leaving || self.disk.is_none() {
            return Ok(());
        }
        self.is_leaving = is_interrupted;
        self.driver.tell(Work::Snapshot, Edge::Begin);
        let kept = self.keep(point)?;
        self.save(kept, why)?;
        self.driver.tell(Work::Snapshot, Edge::End);
        Ok(())
    }

    /// Runs an Eval loader in between, and leaves the loop where it was.
    fn evaluate(&mut self, point: SafePoint, name: &str) -> Result<()> {
        let loaders = &self.stages[self.stage_index()].loaders;
        let is_it = |l: &StageLoader| l.name == name && l.mode == Mode::Eval;
        let Some(loader) = loaders.iter().position(is_it) else {
            return Err(self.no_evaluation(name.into()));
        };
        self.driver.tell(Work::Evaluation, Edge::Begin);
        let (at, before) = (self.at.clone(), self.keep_apart(point)?);
        self.driver.put_loader_aside();
        self.run_loader(loader)?;
        self.driver.clear_stop(Stop::Loader);
        self.driver.take_loader_back();
        self.at = at;
        self.driver.tell(Work::Evaluation, Edge::End);
        self.save_if_left(before)
    }

    /// Whether the run is left here; at its end there is nothing to leave.
    fn take_interruption(&mut self, point: SafePoint) -> bool {
        if point != SafePoint::Run {
            self.driver.take_interruption();
        }
        self.driver.context().interrupted().is_some()
    }

    /// What is saved if a loader that does not train is left by an interruption: as it was before.
    pub(super) fn keep_before(&mut self, loader: usize) -> Result<Option<PendingSnapshot>> {
        let trains = self.stages[self.at.stage].loaders[loader].mode == Mode::Train;
        if trains { Ok(None) } else { self.keep_apart(SafePoint::Batch) }
    }

    fn keep_apart(&mut self, point: SafePoint) -> Result<Option<PendingSnapshot>> {
        if self.disk.is_none() || self.is_leaving {
            return Ok(None);
        }
        let mut kept = self.keep(point)?;
        kept.detach()?;
        Ok(Some(kept))
    }

    /// Saves what was kept if the loader was left by an interruption.
    pub(super) fn save_if_left(&mut self, before: Option<PendingSnapshot>) -> Result<()> {
        match (before, self.driver.context().interrupted()) {
            (Some(before), Some(why)) if !self.is_leaving => {
                let why = vec![why.to_owned()];
                self.is_leaving = true;
                self.save(before, why)
            }
            _ => Ok(()),
        }
    }

    /// The small state: everything but what evaluations leave alone, which are the model, the optimizers and the gradients.
    fn keep(&mut self, point: SafePoint) -> Result<PendingSnapshot> {
        self.driver.flush()?;
        let progress = self.driver.progress().map_err(|source| self.at(source))?;
        let generators = Generators::keep()?;
        let evaluations = self.driver.take_evaluations();
        self.driver.put_back_evaluations(evaluations.clone());
        let cx = self.driver.context();
        let measured = cx.metrics.ended_at(cx.global_batch()).map(|(name, value)| (name.to_owned(), value));
        let state = SavedState {
            point,
            cursor: self.at.clone(),
            position: self.position()?,
            stage: cx.stage_index(),
            stage_name: cx.stage().to_owned(),
            evaluations,
            progress,
            measured: measured.collect(),
            time: String::new(),
            why: Vec::new(),
            optimizers: Default::default(),
            shared: Vec::new(),
            by_hand: None,
            gradients_aside: Vec::new(),
            callbacks: Vec::new(),
            run: self.describe()?,
        };
        Ok(PendingSnapshot::new(state, self.driver.states()?, &generators))
    }

    /// Takes a snapshot of what was kept, and of the model, the optimizers and the gradients of an open window.
    fn save(&mut self, mut kept: PendingSnapshot, why: Vec<String>) -> Result<()> {
        self.complete(&mut kept, why)?;
        let policy = self.driver.context().ext.get::<SnapshotPolicy>().cloned().unwrap_or_default();
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let cost = disk.save(kept, &policy)?;
        self.driver.set_snapshot_cost(cost);
        Ok(())
    }

    /// Removes what a run before this one would have removed, had it not been killed. Without a policy all is left as it is.
    pub(super) fn apply_retention(&mut self) -> Result<()> {
        match (&mut self.disk, self.driver.context().ext.get::<SnapshotPolicy>()) {
            (Some(disk), Some(policy)) => disk.apply(&policy.retention),
            _ => Ok(()),
        }
    }

    fn complete(&self, kept: &mut PendingSnapshot, why: Vec<String>) -> Result<()> {
        let cx = self.driver.context();
        kept.add_model(cx.model.var_store());
        kept.state.by_hand = Some(self.by_hand());
        for (name, optimizer) in cx.optimizers.iter() {
            kept.add_optimizer(name, optimizer)?;
        }
        if kept.state.progress.has_open_window() {
            let params = parameters(cx.model.var_store());
            kept.add_gradients(&params)?;
            for (pass, gradients) in self.driver.gradients_aside().filter(|(_, all)| !all.is_empty()) {
                kept.add_gradients_aside(pass, &params, gradients);
            }
        }
        (kept.state.time, kept.state.why) = (now(), why);
        Ok(())
    }

    /// What was there at an error inside a batch, for whoever looks for its cause. Nothing in here makes a second error.
    pub(super) fn save_crash(&mut self, error: &Error) {
        let policy = self.driver.context().ext.get::<SnapshotPolicy>().cloned().unwrap_or_default();
        let is_inside = self.driver.context().loader_batch() > 0;
        if self.disk.is_none() || !policy.crash || !is_inside {
            return;
        }
        let mut save = || -> Result<_> {
            let mut kept = self.keep(SafePoint::Batch)?;
            self.complete(&mut kept, vec![error.to_string()])?;
            self.disk.as_mut().map(|disk| disk.save_crash(kept, &policy.retention)).transpose()
        };
        match save() {
            Ok(Some(path)) => log::warn!("what was there at the error is in {}", path.display()),
            Ok(None) => {}
            Err(second) => log::warn!("what was there at the error could not be saved: {second}"),
        }
    }

    /// A stage begins: the model is what it says.
    pub(super) fn start_stage(&mut self, stage: usize) -> Result<()> {
        let name = self.stages[stage].name.clone();
        let wrong = |why: String| Error::Stage { stage: name.clone(), source: why.into() };
        let best = match &self.stages[stage].start_from {
            StartFrom::AsItIs => return Ok(()),
            StartFrom::Last => None,
            StartFrom::Best { metric, mode } => {
                Some(KeepBest { k: 1, metric: metric.clone(), goal: goal(*mode) })
            }
        };
        let before = stage.checked_sub(1).map(|before| self.stages[before].name.clone());
        let before =
            before.ok_or_else(|| wrong("it starts from the stage before it, but it is the first".into()))?;
        let disk = self.disk.as_mut();
        let disk =
            disk.ok_or_else(|| wrong("it starts from a snapshot, but there is no run directory".into()))?;
        let Some(mut loaded) = disk.of_stage(&before, best.as_ref())? else {
            let of = best.map_or(String::new(), |best| {
                format!(" for which `{}` was measured and is a number", best.metric)
            });
            return Err(wrong(format!(
                "it starts from a snapshot of stage `{before}`, but there is none{of}"
            )));
        };
        log::info!("stage `{name}` starts from {}", loaded.name);
        self.load_model(&loaded.state.shared, &mut loaded.files)?;
        // averages are of these weights too
        let callbacks = std::mem::take(&mut loaded.state.callbacks);
        self.load_of_weights(callbacks, loaded.files.take(CALLBACKS)?)
    }

    /// The run begins in its directory, if it has one.
    pub(super) fn begin_on_disk(&mut self) -> Result<()> {
        let description = self.describe()?;
        self.disk.as_mut().map_or(Ok(()), |disk| disk.begin(&description))
    }

    /// The run ends: what is being written is waited for.
    pub(super) fn end_on_disk(&mut self) -> Result<()> {
        let description = self.describe()?;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.wait()?;
        let standing = Standing::Ended(Status::of(self.driver.context(), self.at.cut_short));
        // all that counts is saved: a full disk is no reason to lose the report
        if let Err(error) = disk.describe(&description, &standing, &self.at.ended) {
            log::warn!("run.json still says that the run is running, and not {}: {error}", standing.word());
        }
        Ok(())
    }

    /// The run ends by an error: whoever reads its directory should not take it for killed.
    pub(super) fn fail_on_disk(&mut self, error: &Error) {
        // a resume that was refused leaves the directory as it was
        if !self.disk.as_ref().is_some_and(Disk::is_running) {
            return;
        }
        let Ok(description) = self.describe() else { return };
        let Some(disk) = &mut self.disk else { return };
        if let Err(second) = disk.describe(&description, &Standing::Failed(error.to_string()), &self.at.ended)
        {
            log::warn!("run.json still says that the run is running, and not failed: {second}");
        }
    }
}

/// The stop that has been reached when something ends.
fn ends(point: SafePoint) -> Stop {
    match point {
        SafePoint::Batch => Stop::None,
        SafePoint::Epoch => Stop::Epoch,
        SafePoint::Stage => Stop::Stage,
        SafePoint::Run => Stop::Run,
    }
}
