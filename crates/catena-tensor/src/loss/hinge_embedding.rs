//! The hinge loss of distances.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::Finite;

loss! {
    /// The distance itself where the target is 1, and what it lacks to `margin` where it is -1.
    ///
    /// The output and the target have one shape. It counts its elements. Source: `torch.nn.HingeEmbeddingLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, HingeEmbedding};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.5, 0.25]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, -1.0]))]);
    /// let loss = HingeEmbedding::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.625).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    HingeEmbedding = "hinge_embedding";
    tensors { output = "output", "the distances"; target = "target", "the signs, 1 or -1"; }
    settings {
        margin: number(Finite) = 1.0, "The distance from which unlike pairs cost nothing";
    }
}

impl Reduced for HingeEmbedding {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        Ok((output.f_hinge_embedding_loss(&target, self.margin, to)?, output.numel() as f64))
    }
}

impl LossFn for HingeEmbedding {
    by_reduction!();
}
