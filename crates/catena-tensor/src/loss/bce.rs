//! The binary cross entropy of probabilities.
use tch::{Reduction as Torchs, Tensor};

use super::checks::{outside, pair};
use super::form::Reduced;
use super::{LossFn, Reduction, Weights};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error};

loss! {
    /// The binary cross entropy of probabilities in [0, 1], with targets in [0, 1] of their shape. It counts its elements, whatever their weights are.
    ///
    /// [`BceWithLogits`](super::BceWithLogits) takes logits, which lose no precision near 0 and 1. Source: `torch.nn.BCELoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Bce, LossFn};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.5, 1.5]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0.0, 1.0]))]);
    /// assert_eq!(
    ///     Bce::new().loss(&outputs, &batch).unwrap_err().to_string(),
    ///     "bce: `output` has 1.5, but probabilities go from 0 to 1; `bce_with_logits` takes logits",
    /// );
    /// ```
    Bce = "bce";
    tensors { output = "output", "the probabilities"; target = "target", "the truth, from 0 to 1"; }
    settings { weight: weights() = None, "Weights that broadcast to the target's shape"; }
}

impl Bce {
    fn explain(&self, output: &Tensor, target: &Tensor, error: tch::TchError) -> Error {
        let said = |why| Error::Settings { of: "bce".into(), why };
        if let Some(x) = outside(output, 0.0, 1.0) {
            let name = &self.output;
            return said(format!(
                "`{name}` has {x}, but probabilities go from 0 to 1; `bce_with_logits` takes logits"
            ));
        }
        match outside(target, 0.0, 1.0) {
            Some(x) => said(format!("`{}` has {x}, but targets go from 0 to 1", self.target)),
            None => error.into(),
        }
    }
}

impl Reduced for Bce {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        let weight = self.weight.as_ref().map(|w| w.over("weight", output, &target.size())).transpose()?;
        let value = output.f_binary_cross_entropy(&target, weight.as_ref(), to);
        let value = value.map_err(|error| self.explain(output, &target, error))?;
        Ok((value, output.numel() as f64))
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        Weights::check(self.weight.as_ref(), "bce", "weight")
    }
}

impl LossFn for Bce {
    by_reduction!();
}
