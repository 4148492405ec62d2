//! Cross entropy of class probabilities.
use tch::{Reduction as Torchs, Tensor};

use super::checks::pair;
use super::form::{Reduced, reduce};
use super::labels::Labels;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// Cross entropy of logits `[n, classes]` (or `[n, classes, …]`) and class probabilities of their shape, as mixup and cutmix make them. It counts samples (or positions).
    ///
    /// [`CrossEntropy`](super::CrossEntropy) takes them too, where labels may be; this one refuses labels. Source: `timm.loss.SoftTargetCrossEntropy`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, SoftTargetCrossEntropy};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let outputs = Outputs::from(Tensor::zeros([1, 2], (Kind::Double, Device::Cpu)));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0.25, 0.75]).view([1, 2]))]);
    /// let loss = SoftTargetCrossEntropy::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    SoftTargetCrossEntropy = "soft_target_cross_entropy";
    tensors { output = "output", "the logits"; target = "target", "the class probabilities"; }
    settings { class_dim: whole() = 1, "The dimension of both that has the classes"; }
}

impl Reduced for SoftTargetCrossEntropy {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let own = Labels {
            of: "soft_target_cross_entropy",
            output: &self.output,
            target: &self.target,
            weight: None,
            ignore_index: None,
            class_dim: self.class_dim,
        };
        let target = pair(&self.output, output, &self.target, target)?;
        let logs = own.classes_second(output)?.f_log_softmax(1, None)?;
        let each = own.classes_second(&target)?.f_mul(&logs)?.f_sum_dim_intlist(1i64, false, None)?;
        reduce(each.f_neg()?, to)
    }
}

impl LossFn for SoftTargetCrossEntropy {
    by_reduction!();
}
