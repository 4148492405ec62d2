//! The hinge loss of sets of labels.
use tch::{Reduction as Torchs, Tensor};

use super::checks::{dims, whole};
use super::form::Reduced;
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error, Result};

loss! {
    /// What the scores of right classes lack to be 1 above those of wrong ones, over the number of classes. Scores and targets are `[n, classes]`; a row of targets has its
    /// labels first and -1 after them. It counts samples.
    ///
    /// Source: `torch.nn.MultiLabelMarginLoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, MultiLabelMargin};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[0.1, 0.2, 0.4, 0.8]).view([1, 4]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[3i64, 0, -1, 1]).view([1, 4]))]);
    /// let loss = MultiLabelMargin::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.85).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    MultiLabelMargin = "multi_label_margin";
    tensors { output = "output", "the scores"; target = "target", "the labels of each row, then -1"; }
    settings {}
}

impl MultiLabelMargin {
    fn explain(&self, classes: i64, labels: &Tensor, error: tch::TchError) -> Result<Error> {
        let all = Vec::<i64>::try_from(labels.f_flatten(0, -1)?)?;
        let wrong = all.into_iter().find(|label| *label < -1 || *label >= classes);
        Ok(wrong.map_or_else(|| error.into(), |label| Error::Label { label, classes }))
    }
}

impl Reduced for MultiLabelMargin {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        floating(&self.output, output)?;
        dims(&self.output, output, &[1, 2], "[n, classes], or [classes] of one sample")?;
        same_shape(&self.output, output, &self.target, target)?;
        let labels = whole(&self.target, target)?;
        let size = output.size();
        let classes = size.last().copied().unwrap_or_default();
        let value = match output.f_multilabel_margin_loss(&labels, to) {
            Ok(value) => value,
            Err(error) => return Err(self.explain(classes, &labels, error)?.into()),
        };
        Ok((value, size[..size.len() - 1].iter().product::<i64>() as f64))
    }
}

impl LossFn for MultiLabelMargin {
    by_reduction!();
}
