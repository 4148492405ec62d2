//! Going on from a snapshot.
use catena_chain::{Event, State};
use catena_tensor::device;
use catena_tensor::native::tensor::{copy_, set_grad};
use catena_tensor::params::{check_values, parameters, shared, state_dict};
use catena_tensor::rng::{Exclusive, Generators};
use catena_tensor::tch::{Device, Tensor};

use super::Runner;
use super::alone::Alone;
use crate::cursor::Open;
use crate::disk::{
    CALLBACKS, Files, GRADIENTS, Loaded, MODEL, RNG, SafePoint, SavedCallback, SavedState, gradients_file,
    optimizer_file,
};
use crate::error::Error;
use crate::error::RunResult as Result;
use crate::report::Report;
use crate::resume::Resume;

impl Runner {
    /// Goes on from a snapshot in the run directory, as if the run had never stopped, and runs to the end. A finished run does
    /// no batch and gives its report.
    ///
    /// The start events of what is open fire again, with [`Context::resuming`](catena_chain::Context::resuming) set; then
    /// everything is loaded over them. A run that is not the one that was saved is refused, naming the differences, unless
    /// [`RunnerBuilder::allow`](crate::RunnerBuilder::allow) names them; differences that don't change the numbers are logged.
    pub fn resume(&mut self, from: Resume) -> Result<Report> {
        let _exclusive = Exclusive::now()?;
        let _alone = Alone::begin(self.panic_output)?;
        self.open_disk()?;
        let disk = self.disk.as_mut().ok_or(Error::NoRunDirectory)?;
        let mut loaded = disk.load(&from)?;
        if self.allowed.iter().any(|allowed| allowed == "stop") && from.is_latest() {
            // what ended because of the stop has ended: the stop is forgotten where it was asked for
            while let Some(after) = loaded.take_if(|loaded| loaded.state.has_stopped()) {
                loaded = disk.load_before(after.name)?;
            }
        }
        match loaded {
            Some(loaded) => {
                self.claim()?;
                let restored = self.restore(loaded).and_then(|()| self.apply_retention());
                if let Err(error) = &restored {
                    self.leave_loaders();
                    self.driver.fire_exception(error);
                    self.fail_on_disk(error);
                }
                restored?;
                self.go_on()
            }
            None if from == Resume::LatestIfAny && disk.passed_over().is_empty() => self.run_anew(),
            None => Err(Error::NoSnapshot { path: disk.path().to_owned(), damaged: disk.passed_over() }),
        }
    }

    fn restore(&mut self, loaded: Loaded) -> Result<()> {
        let Loaded { name, mut state, mut files } = loaded;
        let differs = self.compare(name, &mut state)?;
        self.check_place(&state)?;
        let model = self.check_model(&state.shared, files.lend(MODEL)?)?;
        let in_the_way = self.check_logs(&mut state.callbacks)?;
        let SavedState {
            point, cursor, position, stage, evaluations, progress, optimizers, callbacks, ..
        } = state;
        let (by_hand, gradients_aside) = (state.by_hand, state.gradients_aside);
        self.resumed_from = Some(progress.global_batch());
        self.at = cursor;

        self.driver.set_resuming(true);
        self.driver.load_progress(progress.clone());
        self.driver.fire(Event::RunStart)?;
        self.enter_stage(stage)?;
        self.driver.load_progress(progress.clone());
        if self.at.open >= Open::Stage && self.at.open != Open::Ended {
            self.driver.fire(Event::StageStart)?;
        }
        if self.at.open == Open::Epoch || self.at.open == Open::Loader {
            self.driver.fire(Event::EpochStart)?;
        }
        if self.at.open == Open::Loader {
            self.enter_loader(self.at.loader, progress.loader_batch(), position.as_ref())?;
            self.driver.load_progress(progress.clone());
            self.driver.fire(Event::LoaderStart)?;
        }

        load_variables(&model)?;
        if let Some(by_hand) = by_hand {
            self.set_by_hand(&by_hand)?;
        }
        for (name, mut dict) in optimizers {
            dict.tensors = files.lend(&optimizer_file(&name))?;
            let optimizer = self.driver.context_mut().optimizers.get_mut(&name);
            let optimizer = optimizer
                .ok_or(Error::Build(format!("the snapshot has an optimizer `{name}`, the run has none")))?;
            let dict = if differs { optimizer.carry_over(dict)? } else { dict };
            optimizer.load_state_dict(&dict)?;
        }
        if differs {
            self.put_back_unwritten(stage)?;
        }
        if progress.has_open_window() {
            self.load_gradients(files.take(GRADIENTS)?)?;
            for pass in gradients_aside {
                self.load_gradients_aside(pass, files.take(&gradients_file(pass))?)?;
            }
        }
        self.load_callbacks(callbacks, files.take(CALLBACKS)?)?;
        self.driver.load_progress(progress);
        self.driver.put_back_evaluations(evaluations.clone());
        let states = files.take(RNG)?.into_iter().map(|(name, state)| Ok((device::parse(&name)?, state)));
        let generators = Generators::from_states(states.collect::<Result<_>>()?);
        generators.put_back()?;

        // nothing can refuse the resume any more: from here on the run directory is this run's
        self.driver.set_resuming(false);
        let description = self.describe()?;
        if let Some(disk) = &mut self.disk {
            disk.go_on(name, &description, &self.at.ended, &in_the_way)?;
        }
        self.driver.tell_resumed(differs)?;
        generators.put_back()?;
        log::info!("going on from {name}");

        if !evaluations.is_empty() {
            self.safe_point(point)?;
        }
        if matches!(point, SafePoint::Stage | SafePoint::Run) {
            self.leave_stage()?;
        }
        Ok(())
    }

    /// Loads a snapshot's model, if it is this one.
    pub(super) fn load_model(&mut self, tied: &[Vec<String>], files: &mut Files) -> Result<()> {
        load_variables(&self.check_model(tied, files.lend(MODEL)?)?)
    }

    /// The model's variables with their saved values; another model's are refused, and so is one in which other names are those
    /// of one tensor.
    fn check_model(
        &self,
        tied: &[Vec<String>],
        saved: Vec<(String, Tensor)>,
    ) -> Result<Vec<(Tensor, Tensor)>> {
        let vs = self.driver.context().model.var_store();
        let variables = state_dict(vs);
        let describe = |all: &[(String, Tensor)]| -> Vec<String> {
            all.iter().map(|(name, t)| format!("{name} {:?} {:?}", t.kind(), t.size())).collect()
        };
        let (before, now) = (describe(&saved), describe(&variables));
        if before != now {
            let differs =
                before.iter().find(|v| !now.contains(v)).or(now.iter().find(|v| !before.contains(v)));
            return Err(Error::OtherRun {
                differences: format!(
                    "the model: {} variables before, {} now; the first that differs is {}; a run of another model has a run directory of its own, \
                     and can begin with the weights that fit by `InitFrom`",
                    before.len(),
                    now.len(),
                    differs.map_or("their order", String::as_str)
                ),
            });
        }
        let now = shared(vs);
        // a snapshot of before names were written says nothing of them
        if !tied.is_empty() && tied != now {
            let list = |all: &[Vec<String>]| match all {
                [] => "none".to_owned(),
                all => all.iter().map(|names| names.join(" = ")).collect::<Vec<_>>().join(", "),
            };
            let differences = format!("the names of one tensor: {} before, {} now", list(tied), list(&now));
            return Err(Error::OtherRun { differences });
        }
        check_values(vs, &saved)?;
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

    fn load_gradients_aside(&mut self, pass: usize, gradients: Vec<(String, Tensor)>) -> Result<()> {
        let params = parameters(self.driver.context().model.var_store());
        let mut aside = Vec::new();
        for (name, gradient) in gradients {
            let param = params.iter().find(|param| param.name == name);
            let param = param.ok_or_else(|| {
                Error::Build(format!("the snapshot has a gradient of `{name}`, which the model lacks"))
            })?;
            aside.push((
                param.tensor.shallow_clone(),
                gradient.f_to_device(param.tensor.device())?.f_detach_copy()?,
            ));
        }
        match self.driver.put_gradients_aside(pass, aside) {
            true => Ok(()),
            false => {
                Err(Error::Build(format!("the snapshot has gradients of pass {pass}, which the stage lacks")))
            }
        }
    }

    /// Gives the callbacks whose state belongs to the weights, such as averages, what a snapshot has of it.
    pub(super) fn load_of_weights(
        &mut self,
        mut saved: Vec<SavedCallback>,
        tensors: Vec<(String, Tensor)>,
    ) -> Result<()> {
        let members = self.driver.chain().members();
        let of_weights: Vec<String> = members
            .iter()
            .filter(|member| member.stage().is_none() && member.about().of_weights)
            .map(catena_chain::drive::Member::key)
            .collect();
        saved.retain(|callback| of_weights.contains(&callback.key));
        self.load_callbacks(saved, tensors)
    }

    fn load_callbacks(&mut self, saved: Vec<SavedCallback>, tensors: Vec<(String, Tensor)>) -> Result<()> {
        let mut tensors: std::collections::HashMap<String, Tensor> = tensors.into_iter().collect();
        let device = self.driver.context().device();
        for SavedCallback { key, json, tensors: names, logs } in saved {
            let mut state = State { json, logs, ..State::none() };
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
