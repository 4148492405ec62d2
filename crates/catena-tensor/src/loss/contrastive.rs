//! The contrastive loss of pairs.
use tch::{Reduction as Torchs, Tensor};

use super::checks::{as_numbers, dims, shape};
use super::form::{Reduced, reduce};
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::AtLeast;

loss! {
    /// Half of the squared distance of pairs `[n, d]` whose target is 1, and half of the square of what the distance lacks to `margin` where it is 0. It counts pairs.
    ///
    /// Source: Hadsell 2006, whose targets are the other way round.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Contrastive, LossFn};
    /// use tch::Tensor;
    ///
    /// let rows = |numbers: &[f64]| Tensor::from_slice(numbers).view([2, 1]);
    /// let outputs = Outputs::from([("input1", rows(&[0.0, 0.0])), ("input2", rows(&[2.0, 0.5]))]);
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 0.0]))]);
    /// assert_eq!(Contrastive::new().loss(&outputs, &batch)?.value.double_value(&[]), (2.0 + 0.125) / 2.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Contrastive = "contrastive";
    tensors {
        input1 = "input1", "the first of each pair";
        input2 = "input2", "the second of each pair";
        target = "target", "the truth, 1 for like pairs or 0";
    }
    settings { margin: number(AtLeast(0.0)) = 1.0, "The distance from which unlike pairs cost nothing"; }
}

impl Reduced for Contrastive {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (first, second) = (outputs.get(&self.input1)?, outputs.get(&self.input2)?);
        dims(&self.input1, first, &[2], "[n, d]")?;
        same_shape(&self.input1, first, &self.input2, second)?;
        floating(&self.input1, first)?;
        floating(&self.input2, second)?;
        let target = batch.get(&self.target)?;
        shape(&self.target, target, &first.size()[..1], "each pair needs a target")?;
        let target = as_numbers(target, first)?;
        let difference = first.f_sub(second)?;
        let squared = difference.f_square()?.f_sum_dim_intlist(1i64, false, None)?;
        // a norm's gradient is 0 where the two are one, that of a root is not a number
        let distance = difference.f_norm_scalaropt_dim(2.0, [1i64], false)?;
        let short = distance.f_rsub_scalar(self.margin)?.f_relu()?.f_square()?;
        let unlike = target.f_rsub_scalar(1.0)?.f_mul(&short)?;
        reduce(target.f_mul(&squared)?.f_add(&unlike)?.f_mul_scalar(0.5)?, to)
    }
}

impl LossFn for Contrastive {
    by_reduction!();
}
