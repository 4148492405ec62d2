//! The squared error, a line far from 0.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::Above;

loss! {
    /// Half of the squared error where the error is below `delta`, else `delta` times the absolute error less half of `delta`.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.HuberLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, Huber};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.5, 4.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
    /// let loss = Huber::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.8125).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Huber = "huber";
    tensors { output = "output", "the prediction"; target = "target", "the truth"; }
    settings {
        delta: number(Above(0.0)) = 1.0, "The error at which the square becomes a line";
    }
}

impl Reduced for Huber {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_huber_loss(&target, to, self.delta)?, output.numel() as f64))
    }
}

impl LossFn for Huber {
    by_reduction!();
}
