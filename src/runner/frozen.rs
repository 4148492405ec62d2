//! Which parameters need a gradient: what a stage freezes, and what somebody sets by hand.
use catena_tensor::model::Model;
use catena_tensor::params::{Parameter, matching_parameters, parameters};
use catena_tensor::tch::Tensor;

use crate::error::RunResult as Result;
use crate::stage::{Pass, Stage};

/// Buffers that the stage freezes, and what they are, from its first Train batch on.
#[derive(Debug, Default)]
pub(super) struct FrozenBuffers {
    pub(super) buffers: Vec<Tensor>,
    pub(super) kept: Option<Vec<Tensor>>,
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
