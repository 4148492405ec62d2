//! The cosine distance of pairs.
use tch::{Reduction as Torchs, Tensor};

use super::checks::{as_numbers, dims, shape};
use super::form::Reduced;
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::Closed;

loss! {
    /// `1 - cos` of pairs `[n, d]` whose target is 1, and what the cosine has above `margin` where it is -1. It counts pairs.
    ///
    /// Source: `torch.nn.CosineEmbeddingLoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{CosineEmbedding, LossFn};
    /// use tch::Tensor;
    ///
    /// let row = |numbers: &[f64]| Tensor::from_slice(numbers).view([1, 2]);
    /// let outputs = Outputs::from([("input1", row(&[1.0, 0.0])), ("input2", row(&[0.0, 2.0]))]);
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0]))]);
    /// let loss = CosineEmbedding::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 1.0).abs() < 1e-6);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    CosineEmbedding = "cosine_embedding";
    tensors {
        input1 = "input1", "the first of each pair";
        input2 = "input2", "the second of each pair";
        target = "target", "the signs, 1 for like pairs or -1";
    }
    settings { margin: number(Closed(-1.0, 1.0)) = 0.0, "The cosine up to which unlike pairs cost nothing"; }
}

impl Reduced for CosineEmbedding {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (first, second) = (outputs.get(&self.input1)?, outputs.get(&self.input2)?);
        dims(&self.input1, first, &[1, 2], "[n, d], or [d] of one pair")?;
        same_shape(&self.input1, first, &self.input2, second)?;
        floating(&self.input1, first)?;
        floating(&self.input2, second)?;
        let size = first.size();
        let target = batch.get(&self.target)?;
        shape(&self.target, target, &size[..size.len() - 1], "each pair needs a sign")?;
        let target = as_numbers(target, first)?;
        let count = target.numel() as f64;
        Ok((Tensor::f_cosine_embedding_loss(first, second, &target, self.margin, to)?, count))
    }
}

impl LossFn for CosineEmbedding {
    by_reduction!();
}
