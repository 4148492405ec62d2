//! The mean squared error.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The mean squared error of two tensors of one shape. It counts its elements. Source: `torch.nn.MSELoss`, but shapes must be equal where PyTorch warns and broadcasts.
    ///
    /// The output must be of real floating point numbers; the target may be of whole ones, as in PyTorch.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, Mse};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 4.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
    /// assert_eq!(Mse::new().loss(&outputs, &batch)?.value.double_value(&[]), 2.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Mse = "mse";
    tensors { output = "output", "the prediction"; target = "target", "the truth"; }
    settings {}
}

impl Reduced for Mse {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_mse_loss(&target, to)?, output.numel() as f64))
    }
}

impl LossFn for Mse {
    by_reduction!();
}
