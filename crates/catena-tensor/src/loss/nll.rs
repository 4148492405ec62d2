//! The negative log likelihood of labels.
use tch::{Reduction as Torchs, Tensor};

use super::form::Reduced;
use super::labels::{Target, labels};
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;

loss! {
    /// The negative log likelihood of labels `[n]` (or `[n, …]`) under log-probabilities `[n, classes]` (or `[n, classes, …]`), the mean over labels, each by the weight of its class.
    ///
    /// Source: `torch.nn.NLLLoss`, but no label is left out unless [`Nll::ignore_index`] says so; torch's default is -100.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, Nll};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[-0.5, -1.0, -2.0, -0.25]).view([2, 2]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0i64, 1]))]);
    /// let loss = Nll::new().weight([3.0, 1.0]).loss(&outputs, &batch)?;
    /// assert_eq!((loss.value.double_value(&[]), loss.weight), ((3.0 * 0.5 + 0.25) / 4.0, 4.0));
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Nll = "nll";
    tensors { output = "output", "the log-probabilities"; target = "target", "the labels"; }
    settings {
        weight: weights() = None, "A weight for each class, by which its labels count";
        ignore_index: label() = None, "A label that counts for nothing";
        class_dim: whole() = 1, "The dimension of the output that has the classes";
    }
}

labels!(Nll);

impl Reduced for Nll {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let own = self.labels();
        let logs = own.classes_second(outputs.get(&self.output)?)?;
        let labels = match own.judge(&logs, batch.get(&self.target)?, false)? {
            Target::Labels(labels) | Target::Probabilities(labels) => labels,
        };
        let value = logs.f_nll_loss_nd(&labels, own.class_weights(&logs)?, to, own.ignored());
        let value = value.map_err(|error| own.explain(&logs, &labels, error))?;
        Ok((value, own.count(&labels)?))
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        self.labels().check()
    }
}

impl LossFn for Nll {
    by_reduction!();
}
