//! Going on from a snapshot.
use std::path::PathBuf;

use catena_chain::{Event, State, Stop};
use catena_record::SnapshotName;
use catena_tensor::device;
use catena_tensor::native::tensor::{copy_, set_grad};
use catena_tensor::params::{parameters, state_dict};
use catena_tensor::rng::{Exclusive, Generators};
use catena_tensor::schedule::PlateauMode;
use catena_tensor::tch::{Device, Tensor};

use super::{Open, Runner};
use crate::disk::{
    CALLBACKS, Cut, Description, Difference, Files, GRADIENTS, Loaded, MODEL, RNG, SavedCallback, SavedState,
    optimizer_file,
};
use crate::{Error, Report, Result};

/// Which snapshot a run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// The newest one that is whole; damaged ones are set aside, with a warning. None at all is an error.
    Latest,
    /// As [`Resume::Latest`], but without a snapshot the run begins at its beginning.
    LatestIfAny,
    /// The best one by a metric that was measured of just its parameters. Newer ones are set aside in
    /// `checkpoints/superseded`.
    Best {
        /// The metric's whole name, such as `valid/loss`.
        metric: String,
        /// Which way it gets better.
        mode: PlateauMode,
    },
    /// The one in this folder. Newer ones are set aside in `checkpoints/superseded`.
    Path(PathBuf),
}

impl Resume {
    fn is_latest(&self) -> bool {
        matches!(self, Self::Latest | Self::LatestIfAny)
    }
}

/// Whether a snapshot was taken after the end of something that a stop had cut short.
fn has_stopped(state: &SavedState, stages: usize) -> bool {
    let SavedState { cut, cursor, books, .. } = state;
    *cut != Cut::Batch && cursor.cut_short && (books.stop() > Stop::None || cursor.stage == stages)
}

impl Runner {
    /// Goes on from a snapshot in the run directory, as if the run had never stopped, and runs to the end. A finished run does
    /// no batch and gives its report.
    ///
    /// The start events of what is open fire again, with [`Context::resuming`](catena_chain::Context::resuming) set; then
    /// everything is loaded over them. A run that is not the one that was saved is refused, naming the differences, unless
    /// [`RunnerBuilder::allow`](crate::RunnerBuilder::allow) names them; differences that don't change the numbers are logged.
    pub fn resume(&mut self, from: Resume) -> Result<Report> {
        let _exclusive = Exclusive::now()?;
        let disk = self.disk.as_mut().ok_or(Error::NoRunDirectory)?;
        let mut loaded = disk.load(&from)?;
        if self.allowed.iter().any(|allowed| allowed == "stop") && from.is_latest() {
            // what ended because of the stop has ended: the stop is forgotten where it was asked for
            while let Some(after) = loaded.take_if(|loaded| has_stopped(&loaded.state, self.stages.len())) {
                loaded = disk.load_before(after.name)?;
            }
        }
        match loaded {
            Some(loaded) => {
                self.claim()?;
                self.restore(loaded)
                    .and_then(|()| self.apply_retention())
                    .inspect_err(|error| self.driver.fire_exception(error))?;
                self.go_on()
            }
            None if from == Resume::LatestIfAny => self.run(),
            None => Err(Error::NoSnapshot { path: disk.path().to_owned() }),
        }
    }

    fn restore(&mut self, loaded: Loaded) -> Result<()> {
        let Loaded { name, mut state, mut files } = loaded;
        self.compare(name, &mut state)?;
        self.check_place(&state)?;
        let model = self.check_model(files.lend(MODEL)?)?;
        let SavedState { cut, cursor, stage, evaluations, books, optimizers, callbacks, .. } = state;
        self.resumed_from = Some(books.global_batch());
        self.at = cursor;

        self.driver.set_resuming(true);
        self.driver.load_books(books.clone());
        self.driver.fire(Event::RunStart)?;
        self.enter_stage(stage)?;
        self.driver.load_books(books.clone());
        if self.at.open >= Open::Stage && self.at.open != Open::Ended {
            self.driver.fire(Event::StageStart)?;
        }
        if self.at.open == Open::Epoch || self.at.open == Open::Loader {
            self.driver.fire(Event::EpochStart)?;
        }
        if self.at.open == Open::Loader {
            self.enter_loader(self.at.loader, books.loader_batch())?;
            self.driver.load_books(books.clone());
            self.driver.fire(Event::LoaderStart)?;
        }

        load_variables(&model)?;
        for (name, mut dict) in optimizers {
            dict.tensors = files.lend(&optimizer_file(&name))?;
            let optimizer = self.driver.context_mut().optimizers.get_mut(&name);
            optimizer
                .ok_or(Error::Build(format!("the snapshot has an optimizer `{name}`, the run has none")))?
                .load_state_dict(&dict)?;
        }
        if books.has_open_window() {
            self.load_gradients(files.take(GRADIENTS)?)?;
        }
        self.load_callbacks(callbacks, files.take(CALLBACKS)?)?;
        self.driver.load_books(books);
        self.driver.put_back_evaluations(evaluations.clone());
        let states = files.take(RNG)?.into_iter().map(|(name, state)| Ok((device::parse(&name)?, state)));
        let generators = Generators::from_states(states.collect::<Result<_>>()?);
        generators.put_back()?;

        // nothing can refuse the resume any more: from here on the run directory is this run's
        self.driver.set_resuming(false);
        let description = Description::of(&self.stages, &self.driver)?;
        if let Some(disk) = &mut self.disk {
            disk.go_on(name, &description)?;
        }
        self.driver.tell_resumed(false)?;
        generators.put_back()?;
        log::info!("going on from {name}");

        if !evaluations.is_empty() {
            self.cut(cut)?;
        }
        if matches!(cut, Cut::Stage | Cut::Run) {
            self.leave_stage()?;
        }
        Ok(())
    }

    /// Refuses a run that is another one, and applies what was allowed.
    fn compare(&mut self, snapshot: SnapshotName, state: &mut SavedState) -> Result<()> {
        let now = Description::of(&self.stages, &self.driver)?;
        let allowed = |name: &str| self.allowed.iter().any(|allowed| !name.is_empty() && allowed == name);
        let (mut refused, mut can_be_allowed) = (Vec::new(), true);
        let is_inside = state.cursor.open == Open::Loader;
        let inside = is_inside.then_some((state.stage, state.cursor.loader));
        for Difference { name, text, counts } in now.differences(&state.run, inside) {
            match counts && !allowed(&name) {
                true if name.is_empty() => {
                    can_be_allowed = false;
                    refused.push(text);
                }
                true => refused.push(format!("{text} (`{name}`)")),
                false => log::warn!("the run is not quite the one that was saved: {text}"),
            }
        }
        // the loaders of an epoch that is open are found by their names
        if refused.is_empty() && state.cursor.open >= Open::Epoch && state.cursor.open != Open::Ended {
            match now.loader_place(&state.run, state.stage, state.cursor.loader, is_inside) {
                Some(place) => state.cursor.loader = place,
                None => {
                    can_be_allowed = false;
                    refused.push(format!(
                        "the Train loaders of stage `{}`, of which the epoch has done some",
                        state.stage_name
                    ));
                }
            }
        }
        if !refused.is_empty() {
            let mut differences = refused.join("; ");
            differences += &match can_be_allowed {
                true => "; to go on all the same, name what is in parentheses with `.allow(\"…\")`".into(),
                false => self.instead(snapshot),
            };
            return Err(Error::OtherRun { differences });
        }
        if allowed("stop") && state.books.stop() > Stop::None {
            log::warn!("the stop that ended the run is forgotten, as `stop` is allowed");
            state.books.clear_stop();
        }
        if allowed("epochs") {
            self.reopen(&now, state);
        }
        Ok(())
    }

    /// What to do about a difference that can't be allowed, because the snapshot is inside an epoch.
    fn instead(&mut self, snapshot: SnapshotName) -> String {
        let between = self.disk.as_mut().and_then(|disk| disk.newest_between_epochs(snapshot));
        let resume = between.map_or("resume from one that was taken at an epoch's end".into(), |path| {
            format!("resume from the one at an epoch's end, with `Resume::Path({path:?})`")
        });
        format!(
            ". The snapshot is inside an epoch, which can't go on with other batches: {resume}, or begin another run with its \
             weights, by `InitFrom`"
        )
    }

    /// A place that this run does not have is refused before anything is touched.
    fn check_place(&self, state: &SavedState) -> Result<()> {
        let SavedState { cursor, stage, books, cut, .. } = state;
        let wrong = |why: &str| Err(Error::Build(format!("the snapshot can't be gone on from: {why}")));
        let Some(stages) = self.stages.get(*stage) else {
            return wrong("it names a stage that there is not");
        };
        let is_between = matches!(cut, Cut::Stage | Cut::Run);
        let fits = match cursor.open {
            Open::Nothing => false,
            Open::Run => cut == &Cut::Stage && cursor.stage == stage + 1,
            Open::Ended => cut == &Cut::Run,
            Open::Stage | Open::Epoch | Open::Loader => !is_between && cursor.stage == *stage,
        };
        if !fits {
            return wrong("its cursor is at no place of the run");
        }
        if books.windows() != stages.passes.len() {
            return wrong("it has windows of other passes");
        }
        let loader = stages.loaders.get(cursor.loader);
        match (cursor.open, loader) {
            (Open::Loader, Some(loader)) if loader.mode.is_train() => {
                let batches = loader.source.batches();
                if batches.is_some_and(|n| books.loader_batch() > n) {
                    return wrong("its loader has fewer batches");
                }
            }
            (Open::Loader, _) => return wrong("its loader is no Train loader"),
            _ => {}
        }
        Ok(())
    }

    /// With more epochs than before a stage that had ended, with nothing after it, goes on.
    fn reopen(&self, now: &Description, state: &mut SavedState) {
        let stage = state.stage;
        let (before, after) = (state.run.epochs(stage), now.epochs(stage));
        if before < after {
            let schedules = now.schedules(stage);
            log::warn!(
                "stage `{}` goes on to more epochs; schedules are functions of their own settings and don't stretch by themselves: {}",
                state.stage_name,
                if schedules.is_empty() { "it has none".into() } else { schedules.join(", ") }
            );
        }
        let has_ended = matches!(state.cut, Cut::Stage | Cut::Run) && stage + 1 == self.stages.len();
        if let (true, Some(epochs)) = (has_ended && before < after && !state.cursor.cut_short, before) {
            let cursor = &mut state.cursor;
            (cursor.stage, cursor.epochs, cursor.open) = (stage, epochs, Open::Stage);
            state.cut = Cut::Epoch;
        }
    }

    /// Loads a snapshot's model, if it is this one.
    pub(super) fn load_model(&mut self, files: &mut Files) -> Result<()> {
        load_variables(&self.check_model(files.lend(MODEL)?)?)
    }

    /// The model's variables with their saved values; another model's are refused.
    fn check_model(&self, saved: Vec<(String, Tensor)>) -> Result<Vec<(Tensor, Tensor)>> {
        let variables = state_dict(self.driver.context().model.var_store());
        let describe = |all: &[(String, Tensor)]| -> Vec<String> {
            all.iter().map(|(name, t)| format!("{name} {:?} {:?}", t.kind(), t.size())).collect()
        };
        let (before, now) = (describe(&saved), describe(&variables));
        if before != now {
            let differs =
                before.iter().find(|v| !now.contains(v)).or(now.iter().find(|v| !before.contains(v)));
            return Err(Error::OtherRun {
                differences: format!(
                    "the model: {} variables before, {} now; the first that differs is {}",
                    before.len(),
                    now.len(),
                    differs.map_or("their order", String::as_str)
                ),
            });
        }
        Ok(variables.into_iter().zip(saved).map(|((_, variable), (_, saved))| (variable, saved)).collect())
    }

    fn load_gradients(&mut self, gradients: Vec<(String, Tensor)>) -> Result<()> {
        let params = parameters(self.driver.context().model.var_store());
        for (name, gradient) in gradients {
            let Some(param) = params.iter().find(|param| param.name == name) else { continue };
            let gradient = gradient.f_to_device(param.tensor.device())?;
            set_grad(&param.tensor, Some(&gradient)).map_err(catena_tensor::Error::from)?;
        }
        Ok(())
    }

    fn load_callbacks(&mut self, saved: Vec<SavedCallback>, tensors: Vec<(String, Tensor)>) -> Result<()> {
        let mut tensors: std::collections::HashMap<String, Tensor> = tensors.into_iter().collect();
        let device = self.driver.context().device();
        for SavedCallback { key, json, tensors: names } in saved {
            let mut state = State { json, tensors: Vec::new() };
            for (name, on_device) in names {
                let lost = || Error::Build(format!("the snapshot lacks the tensor `{name}` of {key}"));
                let tensor = tensors.remove(&format!("{key}/{name}")).ok_or_else(lost)?;
                let device = if on_device { device } else { Device::Cpu };
                state.tensors.push((name, tensor.f_to_device(device)?));
            }
            if !self.driver.load_state(&key, state)? {
                log::warn!("the snapshot has the state of `{key}`, which the run does not have");
            }
        }
        Ok(())
    }
}

fn load_variables(all: &[(Tensor, Tensor)]) -> Result<()> {
    for (variable, saved) in all {
        copy_(&variable.f_detach()?, saved, false).map_err(catena_tensor::Error::from)?;
    }
    Ok(())
}
