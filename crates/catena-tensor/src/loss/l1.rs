//! The mean absolute error.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The mean absolute error, `|output - target|`.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.L1Loss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, L1};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 4.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
    /// let loss = L1::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 1.0).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    L1 = "l1";
    tensors { output = "output", "the prediction"; target = "target", "the truth"; }
    settings {}
}

impl Reduced for L1 {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_l1_loss(&target, to)?, output.numel() as f64))
    }
}

impl LossFn for L1 {
    by_reduction!();
}
