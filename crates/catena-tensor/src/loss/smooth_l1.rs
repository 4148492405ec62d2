//! The absolute error, squared near 0.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::AtLeast;

loss! {
    /// Half of the squared error over `beta` where the error is below `beta`, else the absolute error less half of `beta`.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.SmoothL1Loss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, SmoothL1};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.5, 4.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
    /// let loss = SmoothL1::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.8125).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    SmoothL1 = "smooth_l1";
    tensors { output = "output", "the prediction"; target = "target", "the truth"; }
    settings {
        beta: number(AtLeast(0.0)) = 1.0, "The error at which the square becomes a line";
    }
}

impl Reduced for SmoothL1 {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_smooth_l1_loss(&target, to, self.beta)?, output.numel() as f64))
    }
}

impl LossFn for SmoothL1 {
    by_reduction!();
}
