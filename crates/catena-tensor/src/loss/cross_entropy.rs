//! Cross entropy.
use catena_native::fused::label_loss;
use catena_native::tensor::labels_fit;
use tch::{Reduction as Torchs, Tensor};

use super::form::Reduced;
use super::labels::{Target, labels};
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Result};
use crate::fusing;
use crate::settings::Range::Closed;

loss! {
    /// Cross entropy of logits `[n, classes]` (or `[n, classes, …]`) and labels `[n]` (or `[n, …]`, whole numbers of any dtype), the mean
    /// over labels, each by the weight of its class. A target of floating point numbers in the logits' shape is of class probabilities, as in PyTorch.
    ///
    /// Source: `torch.nn.CrossEntropyLoss`, but no label is left out unless [`CrossEntropy::ignore_index`] says so; torch's default is -100.
    /// A label out of range is an error that names it.
    ///
    /// Its weight in a mean over batches is that of the labels' classes, or the number of positions where the target is of probabilities. With class weights or an ignored label, finding it waits for the device
    /// each batch; where all labels of a micro-batch weigh 0, it counts for nothing, what smoothing would add included.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{CrossEntropy, LossFn};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let outputs = Outputs::from(Tensor::zeros([3, 10], (Kind::Float, Device::Cpu)));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0i64, 7, 9]))]);
    /// let loss = CrossEntropy::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 10f64.ln()).abs() < 1e-6);
    /// assert_eq!(loss.weight, 3.0);
    ///
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0i64, 7, 10]))]);
    /// assert_eq!(
    ///     CrossEntropy::new().loss(&outputs, &batch).unwrap_err().to_string(),
    ///     "label 10 is out of range: the output has 10 classes, so labels go from 0 to 9",
    /// );
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    CrossEntropy = "cross_entropy";
    tensors { output = "output", "the logits"; target = "target", "the labels"; }
    settings {
        weight: weights() = None, "A weight for each class, by which its labels count";
        label_smoothing: number(Closed(0.0, 1.0)) = 0.0, "The share of each label that is spread over all classes";
        ignore_index: label() = None, "A label that counts for nothing";
        class_dim: whole() = 1, "The dimension of the logits that has the classes";
    }
}

labels!(CrossEntropy);

impl CrossEntropy {
    fn of_labels(&self, logits: &Tensor, labels: &Tensor, to: Torchs) -> Result<(Tensor, f64)> {
        let own = self.labels();
        let is_one_node =
            fusing::is_on() && self.label_smoothing == 0.0 && self.weight.is_none() && to == Torchs::Mean;
        // what went wrong there is told below
        let fused = if is_one_node { label_loss(logits, labels, own.ignored()).ok().flatten() } else { None };
        let weight = own.class_weights(logits)?;
        let plain = || {
            logits
                .f_cross_entropy_loss(labels, weight, to, own.ignored(), self.label_smoothing)
                .map_err(|error| own.explain(logits, labels, error))
        };
        Ok((fused.map_or_else(plain, Ok)?, own.count(labels)?))
    }
}

impl Reduced for CrossEntropy {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        // the usual case costs no look at sizes
        if self.class_dim == 1 && labels_fit(output, target) {
            return Ok(self.of_labels(output, target, to)?);
        }
        let own = self.labels();
        let logits = own.classes_second(output)?;
        match own.judge(&logits, target, true)? {
            Target::Labels(labels) => Ok(self.of_labels(&logits, &labels, to)?),
            Target::Probabilities(target) => {
                let (weight, smoothing) = (own.class_weights(&logits)?, self.label_smoothing);
                let value = logits.f_cross_entropy_loss(&target, weight, to, own.ignored(), smoothing)?;
                let classes = logits.size().get(1).copied().unwrap_or_default().max(1);
                Ok((value, (logits.numel() as i64 / classes) as f64))
            }
        }
    }

    fn check_pairs(&self) -> Result<()> {
        self.labels().check()
    }
}

impl LossFn for CrossEntropy {
    by_reduction!();
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn minus_100_is_a_label_like_any_other_until_it_is_ignored_by_name() {
        let outputs = Outputs::from(Tensor::zeros([2, 10], (Kind::Float, Device::Cpu)));
        let batch = Batch::new([("target", Tensor::from_slice(&[3i64, -100]))]);
        let error = CrossEntropy::new().loss(&outputs, &batch).unwrap_err().to_string();
        let expected = "label -100 is out of range: the output has 10 classes, so labels go from 0 to 9; to leave a label out, name it with \
                        `ignore_index`";
        assert_eq!(error, expected);
        for smoothing in [0.0, 0.1] {
            let mut loss = CrossEntropy::new().label_smoothing(smoothing).ignore_index(-100);
            let loss = loss.loss(&outputs, &batch).unwrap();
            assert_eq!(loss.weight, 1.0);
            assert!((loss.value.double_value(&[]) - 10f64.ln()).abs() < 1e-6);
            assert!(CrossEntropy::new().label_smoothing(smoothing).loss(&outputs, &batch).is_err());
        }
    }
}
