//! Which parameters need a gradient: what a stage freezes, and what somebody sets by hand.
use catena_tensor::layers::freeze_statistics;
use catena_tensor::model::Model;
use catena_tensor::native::tensor::{copy_, identity};
use catena_tensor::params::{Parameter, matching_buffers, matching_parameters, parameters};
use catena_tensor::tch::Tensor;

use super::Runner;
use crate::disk::ByHand;
use crate::error::RunResult as Result;
use crate::{Error, Pass, Stage};

/// Buffers that the stage freezes, and what they are, from its first Train batch on.
#[derive(Debug, Default)]
pub(super) struct FrozenBuffers {
    buffers: Vec<Tensor>,
    kept: Option<Vec<Tensor>>,
}

impl Runner {
    /// What the stage has frozen needs gradients again.
    pub(super) fn thaw(&mut self) -> Result<()> {
        for param in self.frozen.drain(..) {
            let _same = param.f_set_requires_grad(true)?;
        }
        self.frozen_buffers = FrozenBuffers::default();
        freeze_statistics([]);
        Ok(())
    }

    /// Freezes the buffers of what the stage freezes, which layers of `Layers` hear of.
    pub(super) fn freeze_buffers(&mut self) {
        let stage = &self.stages[self.stage_index()];
        let vs = self.driver.context().model.var_store();
        let found = matching_buffers(&stage.frozen, vs);
        freeze_statistics(&found);
        self.frozen_buffers = FrozenBuffers { buffers: found, kept: None };
    }

    /// Before a Train batch: what the frozen buffers are.
    pub(super) fn keep_buffers(&mut self) -> Result<()> {
        let FrozenBuffers { buffers, kept } = &mut self.frozen_buffers;
        if kept.is_none() {
            *kept = Some(buffers.iter().map(Tensor::f_detach_copy).collect::<std::result::Result<_, _>>()?);
        }
        Ok(())
    }

    /// After a Train batch: a module of tch may have moved them.
    pub(super) fn put_buffers_back(&self) -> Result<()> {
        let FrozenBuffers { buffers, kept } = &self.frozen_buffers;
        for (buffer, kept) in buffers.iter().zip(kept.iter().flatten()) {
            copy_(&buffer.f_detach()?, kept, false).map_err(catena_tensor::Error::from)?;
        }
        Ok(())
    }

    /// The parameters whose `requires_grad` somebody has set by hand.
    pub(super) fn by_hand(&self) -> ByHand {
        let mut by_hand = ByHand::default();
        for Parameter { name, tensor, .. } in parameters(self.driver.context().model.var_store()) {
            match (tensor.requires_grad(), self.is_frozen(&tensor)) {
                (false, false) => by_hand.frozen.push(name),
                (true, true) => by_hand.freed.push(name),
                _ => {}
            }
        }
        by_hand
    }

    /// Sets by hand what was set by hand in a run that goes on.
    pub(super) fn set_by_hand(&mut self, by_hand: &ByHand) -> Result<()> {
        let params = parameters(self.driver.context().model.var_store());
        let ByHand { frozen, freed } = by_hand;
        if let Some(name) =
            frozen.iter().chain(freed).find(|name| params.iter().all(|param| param.name != **name))
        {
            return Err(Error::Build(format!(
                "the snapshot says that `requires_grad` of `{name}` was set by hand, but the model has no parameter of this name"
            )));
        }
        for Parameter { name, tensor, .. } in &params {
            let is_frozen = frozen.contains(name) || self.is_frozen(tensor) && !freed.contains(name);
            if tensor.requires_grad() == is_frozen {
                let _same = tensor.f_set_requires_grad(!is_frozen)?;
            }
            if frozen.contains(name) {
                // it was frozen when the stage began, so the stage's end does not thaw it
                self.frozen.retain(|own| identity(own) != identity(tensor));
            }
        }
        Ok(())
    }

    fn is_frozen(&self, tensor: &Tensor) -> bool {
        self.frozen.iter().any(|frozen| identity(frozen) == identity(tensor))
    }
}

/// Makes parameters need no gradient that the stage freezes, and those that none of its passes trains; gives those that needed one before.
pub(super) fn freeze(stage: &Stage, model: &dyn Model) -> Result<Vec<Tensor>> {
    let params = parameters(model.var_store());
    let frozen = frozen(&params, &stage.all_frozen())?;
    let mut trained = vec![false; params.len()];
    for pass in &stage.passes {
        // who steps without an optimizer of the stage's may train any of them
        let own = match pass.optimizer {
            Some(_) => matching_parameters(&pass.params, &params)?,
            None => vec![stage.trains(); params.len()],
        };
        trained.iter_mut().zip(own).for_each(|(trained, own)| *trained |= own);
    }
    let mut changed = Vec::new();
    for ((param, frozen), trained) in params.into_iter().zip(frozen).zip(trained) {
        let needs_none = frozen || stage.trains() && !trained;
        if needs_none && param.tensor.requires_grad() {
            changed.push(param.tensor.f_set_requires_grad(false)?);
        }
    }
    Ok(changed)
}

/// Which parameters are frozen: a tensor that is frozen under one of its names is frozen.
fn frozen(params: &[Parameter], patterns: &[String]) -> catena_tensor::Result<Vec<bool>> {
    let mut frozen = vec![false; params.len()];
    for pattern in patterns {
        let matched = matching_parameters(pattern, params)?;
        frozen.iter_mut().zip(matched).for_each(|(frozen, matched)| *frozen |= matched);
    }
    Ok(frozen)
}

/// The parameters that a pass's optimizer updates: those of its pattern that the stage does not freeze.
pub(crate) fn params_of(
    pass: &Pass,
    patterns: &[String],
    model: &dyn Model,
) -> catena_tensor::Result<Vec<Parameter>> {
    let params = parameters(model.var_store());
    let own = matching_parameters(&pass.params, &params)?;
    let frozen = frozen(&params, patterns)?;
    Ok(params
        .into_iter()
        .zip(own.into_iter().zip(frozen))
        .filter(|(_, (own, frozen))| *own && !frozen)
        .map(|(p, _)| p)
        .collect())
}
