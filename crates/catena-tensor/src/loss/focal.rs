//! The focal loss of classes.
use tch::{Reduction as Torchs, Tensor};

use super::form::{Reduced, apply};
use super::labels::{Target, labels};
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::AtLeast;

loss! {
    /// The focal loss of logits `[n, classes]` (or `[n, classes, …]`) and labels: the cross entropy times `(1 - p)^gamma`, with the probability `p` of the right class. With `gamma` 0 it is the
    /// cross entropy. The mean is over labels, each by the weight of its class.
    ///
    /// Source: Lin 2017, for classes. [`SigmoidFocal`](super::SigmoidFocal) is that of yes and no.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{Focal, LossFn};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let outputs = Outputs::from(Tensor::zeros([3, 2], (Kind::Double, Device::Cpu)));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0i64, 1, 1]))]);
    /// let loss = Focal::new().loss(&outputs, &batch)?;
    /// assert!((loss.value.double_value(&[]) - 0.25 * 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    Focal = "focal";
    tensors { output = "output", "the logits"; target = "target", "the labels"; }
    settings {
        gamma: number(AtLeast(0.0)) = 2.0, "How little what is known already counts";
        weight: weights() = None, "A weight for each class, by which its labels count";
        ignore_index: label() = None, "A label that counts for nothing";
        class_dim: whole() = 1, "The dimension of the logits that has the classes";
    }
}

labels!(Focal);

impl Reduced for Focal {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let own = self.labels();
        let logits = own.classes_second(outputs.get(&self.output)?)?;
        let labels = match own.judge(&logits, batch.get(&self.target)?, false)? {
            Target::Labels(labels) | Target::Probabilities(labels) => labels,
        };
        let logs = logits.f_log_softmax(1, None)?;
        let nll = |weight: Option<Tensor>| {
            let each = logs.f_nll_loss_nd(&labels, weight, Torchs::None, own.ignored());
            each.map_err(|error| own.explain(&logits, &labels, error))
        };
        let surprise = nll(None)?;
        // 1 - p, which is exact for a p near 1
        let rest = surprise.f_neg()?.f_expm1()?.f_neg()?;
        let each = rest.f_pow_tensor_scalar(self.gamma)?.f_mul(&nll(own.class_weights(&logits)?)?)?;
        let count = own.count(&labels)?;
        match to {
            Torchs::Mean => Ok((each.f_sum(None)?.f_div_scalar(count)?, count)),
            to => Ok((apply(each, to)?, count)),
        }
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        self.labels().check()
    }
}

impl LossFn for Focal {
    by_reduction!();
}
