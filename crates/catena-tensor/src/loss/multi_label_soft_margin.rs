//! The binary cross entropy of sets of labels.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::{Reduced, reduce};
use super::{LossFn, Reduction, Weights};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error};

loss! {
    /// The binary cross entropy of logits `[…, classes]`, the mean over the classes of each sample; targets are 0 or 1. It counts samples.
    ///
    /// Source: `torch.nn.MultiLabelSoftMarginLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, MultiLabelSoftMargin};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.0, 0.0]).view([1, 2]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0.0, 1.0]).view([1, 2]))]);
    /// let loss = MultiLabelSoftMargin::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    MultiLabelSoftMargin = "multi_label_soft_margin";
    tensors { output = "output", "the logits"; target = "target", "the truth, 0 or 1"; }
    settings { weight: weights() = None, "Weights that broadcast to the target's shape"; }
}

impl Reduced for MultiLabelSoftMargin {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        if output.dim() == 0 {
            let expected = "it must be [n, classes]".into();
            return Err(Error::Shape { what: format!("`{}`", self.output), got: vec![], expected }.into());
        }
        let yes = target.f_mul(&output.f_log_sigmoid()?)?;
        let no = target.f_rsub_scalar(1.0)?.f_mul(&output.f_neg()?.f_log_sigmoid()?)?;
        let mut each = yes.f_add(&no)?.f_neg()?;
        if let Some(weight) = &self.weight {
            each = each.f_mul(&weight.over("weight", output, &target.size())?)?;
        }
        reduce(each.f_mean_dim(-1, false, None)?, to)
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        Weights::check(self.weight.as_ref(), "multi_label_soft_margin", "weight")
    }
}

impl LossFn for MultiLabelSoftMargin {
    by_reduction!();
}
