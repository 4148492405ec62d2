//! The Kullback-Leibler divergence.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::{Reduced, apply};
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The Kullback-Leibler divergence of log-probabilities from the target's distribution.
    ///
    /// As in PyTorch, its mean is over elements, and the divergence itself is the mean over samples, [`Reduction::BatchMean`], which counts samples.
    /// Source: `torch.nn.KLDivLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{KlDiv, LossFn, Reduction};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.5, 0.5]).log().view([1, 2]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 0.0]).view([1, 2]))]);
    /// let loss = KlDiv::new().reduction(Reduction::BatchMean).loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    KlDiv = "kl_div";
    tensors { output = "output", "the log-probabilities"; target = "target", "the distribution"; }
    settings { log_target: switch() = false, "Whether the target is of log-probabilities"; }
}

impl Reduced for KlDiv {
    const REDUCTIONS: &'static [&'static str] = &["mean", "sum", "batchmean"];

    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        let each = output.f_kl_div(&target, Torchs::None, self.log_target)?;
        if self.reduction == Reduction::BatchMean && to == Torchs::Mean {
            let samples = output.size().first().copied().unwrap_or(1) as f64;
            return Ok((each.f_sum(None)?.f_div_scalar(samples)?, samples));
        }
        Ok((apply(each, to)?, output.numel() as f64))
    }
}

impl LossFn for KlDiv {
    by_reduction!();
}
