//! The negative log likelihood of counts.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::AtLeast;

loss! {
    /// The negative log likelihood of counts under a Poisson distribution, without the constant that depends on the target alone.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.PoissonNLLLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, PoissonNll};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.0, 0.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 3.0]))]);
    /// let loss = PoissonNll::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 1.0).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    PoissonNll = "poisson_nll";
    tensors { output = "output", "the rate, or its logarithm"; target = "target", "the counts"; }
    settings {
        log_input: switch() = true, "Whether the output is the logarithm of the rate";
        full: switch() = false, "Whether Stirling's term for ln(target!) is added";
        eps: number(AtLeast(0.0)) = 1e-8, "What keeps the logarithm from 0 where the output is the rate";
    }
}

impl Reduced for PoissonNll {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((
            output.f_poisson_nll_loss(&target, self.log_input, self.full, self.eps, to)?,
            output.numel() as f64,
        ))
    }
}

impl LossFn for PoissonNll {
    by_reduction!();
}
