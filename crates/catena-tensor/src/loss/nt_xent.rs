//! Which of all other views shows the same sample.
use tch::{Kind, Reduction as Torchs, Tensor};

use super::form::{Reduced, reduce};
use super::info_nce::directions;
use super::{LossFn, Reduction};
use crate::batch::{Batch, Outputs};
use crate::error::BoxError;
use crate::settings::Range::Above;

loss! {
    /// NT-Xent of two views `[n, d]` of each sample: the cross entropy of finding each view's other one among all `2n - 1` others by their cosines over `temperature`. It counts views; the losses one by one
    /// are those of the first views, then of the second.
    ///
    /// All other views are negatives, so it depends on the whole batch: micro-batches accumulate to the mean of their own losses, each with fewer negatives, which is
    /// not the loss of one large batch. Source: SimCLR (Chen 2020).
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, NtXent};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let same = || Tensor::ones([4, 3], (Kind::Double, Device::Cpu));
    /// let outputs = Outputs::from([("input1", same()), ("input2", same())]);
    /// let loss = NtXent::new().loss(&outputs, &Batch::default())?;
    /// assert!((loss.value.double_value(&[]) - 7f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    NtXent = "nt_xent";
    tensors { input1 = "input1", "the first views"; input2 = "input2", "the second views"; }
    settings { temperature: number(Above(0.0)) = 0.5, "What the cosines are divided by"; }
}

impl Reduced for NtXent {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, _: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let views = directions([&self.input1, &self.input2], outputs)?;
        let (n, views) = (views[0].size()[0], Tensor::f_cat(&views, 0)?);
        let cosines = views.f_matmul(&views.f_tr()?)?.f_div_scalar(self.temperature)?;
        let itself = Tensor::f_eye(2 * n, (Kind::Bool, views.device()))?;
        let logits = cosines.f_masked_fill(&itself, f64::NEG_INFINITY)?;
        let other = Tensor::f_arange(2 * n, (Kind::Int64, views.device()))?.f_roll([n], [0])?;
        reduce(logits.f_cross_entropy_loss::<Tensor>(&other, None, Torchs::None, -100, 0.0)?, to)
    }
}

impl LossFn for NtXent {
    by_reduction!();
}
