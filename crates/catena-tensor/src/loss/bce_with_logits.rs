//! The binary cross entropy of logits.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction, Weights};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The binary cross entropy of logits, with targets in [0, 1] of their shape. It counts its elements, whatever their weights are.
    ///
    /// Source: `torch.nn.BCEWithLogitsLoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{BceWithLogits, LossFn};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.0, 0.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0.0, 1.0]))]);
    /// let loss = BceWithLogits::new().pos_weight([3.0]).loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 2.0 * 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    BceWithLogits = "bce_with_logits";
    tensors { output = "output", "the logits"; target = "target", "the truth, from 0 to 1"; }
    settings {
        weight: weights() = None, "Weights that broadcast to the target's shape";
        pos_weight: weights() = None, "Weights of the positive side, broadcast to the target's shape";
    }
}

impl Reduced for BceWithLogits {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        let over = |name: &str, weights: &Option<Weights>| {
            weights.as_ref().map(|w| w.over(name, output, &target.size())).transpose()
        };
        let (weight, pos_weight) = (over("weight", &self.weight)?, over("pos_weight", &self.pos_weight)?);
        let value = output.f_binary_cross_entropy_with_logits(&target, weight, pos_weight, to)?;
        Ok((value, output.numel() as f64))
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        Weights::check(self.weight.as_ref(), "bce_with_logits", "weight")?;
        Weights::check(self.pos_weight.as_ref(), "bce_with_logits", "pos_weight")
    }
}

impl LossFn for BceWithLogits {
    by_reduction!();
}
