//! What the loop needs at its edges: optimizers, frozen parameters, quiet evaluations, the place of an error.
use catena_chain::Optimizers;
use catena_chain::drive::{Member, PassScope, StageScope};
use catena_tensor::model::{Mode, Model};
use catena_tensor::native::tensor::{identity, set_grad};
use catena_tensor::optim::Optimizer;
use catena_tensor::params::parameters;

use super::Runner;
use super::frozen::{freeze, params_of};
use crate::error::Error;
use crate::error::RunResult as Result;

impl Runner {
    pub(super) fn enter_stage(&mut self, index: usize) -> Result<()> {
        self.driver.begin_states(index)?;
        let (stage, model) = (&self.stages[index], self.driver.context().model.as_ref());
        let mut optimizers = Optimizers::default();
        clear_gradients(model)?;
        self.frozen = freeze(stage, model)?;
        self.known = parameters(model.var_store()).iter().map(|param| identity(&param.tensor)).collect();
        self.looks_for_new = true;
        for pass in &stage.passes {
            if let Some(config) = &pass.optimizer {
                let optimizer =
                    Optimizer::new(config.clone(), &params_of(pass, &stage.all_frozen(), model)?)?;
                optimizers.insert(&pass.name, optimizer);
            }
        }
        let passes = stage.passes.iter().map(|pass| PassScope {
            name: pass.name.clone(),
            optimizer: pass.optimizer.is_some().then(|| pass.name.clone()),
        });
        let evaluations = stage.loaders.iter().filter(|loader| loader.mode == Mode::Eval);
        let evaluations = evaluations.map(|loader| loader.name.clone()).collect();
        let (name, epochs, passes) = (stage.name.clone(), stage.epochs, passes.collect());
        self.driver.enter_stage(StageScope { index, name, epochs, passes, evaluations }, optimizers);
        self.freeze_buffers();
        Ok(())
    }

    pub(super) fn leave_stage(&mut self) -> Result<()> {
        self.check_for_new_parameters()?;
        self.tell_unmeasured();
        self.leave_loaders();
        self.thaw()?;
        self.driver.leave_stage();
        Ok(())
    }

    /// Says which metrics callbacks wait for that were never measured: one that does not say what it logs keeps `build()` from knowing.
    fn tell_unmeasured(&self) {
        let cx = self.driver.context();
        let is_last = cx.stage_index() + 1 == self.stages.len();
        // what is of the run may be measured in a later stage
        let is_over = |member: &&Member| match member.stage() {
            Some(stage) => stage == cx.stage_index(),
            None => is_last,
        };
        for member in self.driver.chain().members().iter().filter(is_over) {
            for name in &member.about().watches {
                if let Err(none) = cx.metrics.require(name) {
                    log::warn!(
                        "{} watches `{name}`, and stage `{}` has ended: {none}",
                        member.name(),
                        cx.stage()
                    );
                }
            }
        }
    }

    /// The run is over, whichever way: nothing is frozen any more, and no gradient is left behind.
    pub(super) fn leave_nothing_behind(&mut self) -> Result<()> {
        self.thaw()?;
        clear_gradients(self.driver.context().model.as_ref())
    }

    /// Refuses parameters that the model has made since the stage began: its optimizers don't have them.
    pub(super) fn check_for_new_parameters(&mut self) -> Result<()> {
        self.looks_for_new = false;
        let cx = self.driver.context();
        if cx.optimizers.is_empty() {
            return Ok(());
        }
        let params = parameters(cx.model.var_store());
        let new = params.iter().filter(|param| !self.known.contains(&identity(&param.tensor)));
        let new: Vec<String> = new.map(|param| format!("`{}`", param.name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let source = format!(
            "the model has made parameters after the stage had begun, so no optimizer trains them: {}; let one batch go through the model before \
             `build()`",
            new.join(", ")
        );
        Err(Error::Stage { stage: cx.stage().to_owned(), source: source.into() })
    }

    /// A runner runs once.
    pub(super) fn claim(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.has_run, true) {
            true => Err(Error::HasRun),
            false => Ok(()),
        }
    }

    /// The number of the stage that the driver is in.
    pub(super) fn stage_index(&self) -> usize {
        self.driver.context().stage_index()
    }

    pub(super) fn drop_window(&mut self) -> Result<()> {
        self.driver.drop_window().map_err(|source| self.at(source))
    }

    pub(super) fn at(&self, source: catena_chain::BoxError) -> Error {
        Error::At { place: Box::new(self.driver.context().place()), source }
    }

    pub(super) fn no_evaluation(&self, name: String) -> Error {
        let loaders =
            self.stages[self.stage_index()].loaders.iter().filter(|loader| loader.mode == Mode::Eval);
        let known: Vec<&str> = loaders.map(|loader| loader.name.as_str()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        Error::NoEvaluation { name, place: Box::new(self.driver.context().place()), known }
    }
}

/// Sets every parameter's gradient to none.
fn clear_gradients(model: &dyn Model) -> Result<()> {
    for param in parameters(model.var_store()) {
        set_grad(&param.tensor, None).map_err(catena_tensor::Error::from)?;
    }
    Ok(())
}
