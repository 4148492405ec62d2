//! The focal loss of yes and no.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::{Reduced, reduce};
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error};
use crate::settings::Range::{AtLeast, Finite};

loss! {
    /// The focal loss of logits and targets of yes (1) and no (0) of their shape. It counts its elements.
    ///
    /// Source: `torchvision.ops.sigmoid_focal_loss` (Lin 2017), whose `reduction` is `none` unless another is named.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, SigmoidFocal};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.0, 0.0]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0.0, 1.0]))]);
    /// let loss = SigmoidFocal::new().alpha(0.5).loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.125 * 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    SigmoidFocal = "sigmoid_focal";
    tensors { output = "output", "the logits"; target = "target", "the truth, 0 or 1"; }
    settings {
        alpha: number(Finite) = 0.25, "The weight of yes, of which no has the rest; -1 for none";
        gamma: number(AtLeast(0.0)) = 2.0, "How little what is known already counts";
    }
}

impl Reduced for SigmoidFocal {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        let surprise =
            output.f_binary_cross_entropy_with_logits::<Tensor>(&target, None, None, Torchs::None)?;
        let p = output.f_sigmoid()?;
        let no = target.f_rsub_scalar(1.0)?;
        let right = p.f_mul(&target)?.f_add(&p.f_rsub_scalar(1.0)?.f_mul(&no)?)?;
        let mut each = surprise.f_mul(&right.f_rsub_scalar(1.0)?.f_pow_tensor_scalar(self.gamma)?)?;
        if self.alpha >= 0.0 {
            let weight = target.f_mul_scalar(self.alpha)?.f_add(&no.f_mul_scalar(1.0 - self.alpha)?)?;
            each = each.f_mul(&weight)?;
        }
        reduce(each, to)
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        if self.alpha == -1.0 || (0.0..=1.0).contains(&self.alpha) {
            return Ok(());
        }
        let (got, allowed) = (self.alpha.to_string(), "in [0, 1], or -1".into());
        Err(Error::Setting { of: "sigmoid_focal".into(), name: "alpha".into(), got, allowed })
    }
}

impl LossFn for SigmoidFocal {
    by_reduction!();
}
