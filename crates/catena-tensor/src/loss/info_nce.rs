//! Which key belongs to which query.
use tch::{Kind, Reduction as Torchs, Tensor};

use super::checks::dims;
use super::form::{Reduced, reduce};
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Result};
use crate::settings::Range::Above;

loss! {
    /// InfoNCE of queries and keys `[n, d]`: the cross entropy of finding each query's own key, in the same row, among the keys of the batch by their cosines over `temperature`. It counts
    /// queries.
    ///
    /// The other keys of the batch are the negatives, so it depends on the whole batch: micro-batches accumulate to the mean of their own losses, each with fewer negatives,
    /// which is not the loss of one large batch. Source: van den Oord 2018.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{InfoNce, LossFn};
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let same = || Tensor::ones([4, 3], (Kind::Double, Device::Cpu));
    /// let outputs = Outputs::from([("query", same()), ("key", same())]);
    /// let loss = InfoNce::new().loss(&outputs, &Batch::default())?;
    /// assert!((loss.value.double_value(&[]) - 4f64.ln()).abs() < 1e-12);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    InfoNce = "info_nce";
    tensors { query = "query", "the queries"; key = "key", "the keys, each query's own in its row"; }
    settings { temperature: number(Above(0.0)) = 0.1, "What the cosines are divided by"; }
}

/// Two outputs of rows that belong together, each row of length 1.
pub(super) fn directions(names: [&str; 2], outputs: &Outputs) -> Result<[Tensor; 2]> {
    let [first, second] = [outputs.get(names[0])?, outputs.get(names[1])?];
    dims(names[0], first, &[2], "[n, d]")?;
    same_shape(names[0], first, names[1], second)?;
    let unit = |name: &str, rows: &Tensor| -> Result<Tensor> {
        floating(name, rows)?;
        let norm = rows.f_norm_scalaropt_dim(2.0, [1i64], true)?.f_clamp_min(1e-12)?;
        Ok(rows.f_div(&norm)?)
    };
    Ok([unit(names[0], first)?, unit(names[1], second)?])
}

impl Reduced for InfoNce {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, _: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let [query, key] = directions([&self.query, &self.key], outputs)?;
        let logits = query.f_matmul(&key.f_tr()?)?.f_div_scalar(self.temperature)?;
        let own = Tensor::f_arange(query.size()[0], (Kind::Int64, query.device()))?;
        reduce(logits.f_cross_entropy_loss::<Tensor>(&own, None, Torchs::None, -100, 0.0)?, to)
    }
}

impl LossFn for InfoNce {
    by_reduction!();
}
