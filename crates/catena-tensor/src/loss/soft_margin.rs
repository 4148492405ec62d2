//! The logistic loss of targets 1 and -1.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The logistic loss, `ln(1 + exp(-target * output))`, of targets 1 and -1.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.SoftMarginLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, SoftMargin};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.0, 0.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, -1.0]))]);
    /// let loss = SoftMargin::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    SoftMargin = "soft_margin";
    tensors { output = "output", "the scores"; target = "target", "the signs, 1 or -1"; }
    settings {}
}

impl Reduced for SoftMargin {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_soft_margin_loss(&target, to)?, output.numel() as f64))
    }
}

impl LossFn for SoftMargin {
    by_reduction!();
}
