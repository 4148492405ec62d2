//! How a stage freezes what it freezes, and what somebody sets by hand.
use catena_tensor::layers::freeze_statistics;
use catena_tensor::native::tensor::{copy_, identity};
use catena_tensor::params::{Parameter, matching_buffers, parameters};
use catena_tensor::tch::Tensor;

use super::Runner;
use super::frozen::FrozenBuffers;
use crate::disk::ByHand;
use crate::error::{Error, RunResult as Result};

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
