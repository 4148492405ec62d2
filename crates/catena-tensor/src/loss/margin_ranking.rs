//! The order of pairs.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::Reduced;
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::Finite;

loss! {
    /// What the first score of a pair lacks to be `margin` above the second where the target is 1, or below it where it is -1. It counts elements.
    ///
    /// All have one shape. Source: `torch.nn.MarginRankingLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, MarginRanking};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from([("input1", Tensor::from_slice(&[1.0])), ("input2", Tensor::from_slice(&[3.0]))]);
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0]))]);
    /// assert_eq!(MarginRanking::new().loss(&outputs, &batch)?.value.double_value(&[]), 2.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    MarginRanking = "margin_ranking";
    tensors {
        input1 = "input1", "the first scores";
        input2 = "input2", "the second scores";
        target = "target", "the signs, 1 where the first ranks higher or -1";
    }
    settings { margin: number(Finite) = 0.0, "How far apart the scores must be"; }
}

impl Reduced for MarginRanking {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (first, second) = (outputs.get(&self.input1)?, outputs.get(&self.input2)?);
        same_shape(&self.input1, first, &self.input2, second)?;
        floating(&self.input2, second)?;
        let target = pair(&self.input1, first, &self.target, batch.get(&self.target)?)?;
        let count = first.numel() as f64;
        Ok((Tensor::f_margin_ranking_loss(first, second, &target, self.margin, to)?, count))
    }
}

impl LossFn for MarginRanking {
    by_reduction!();
}
