//! Distances of triplets.
use tch::{Reduction as Torchs, Tensor};

use super::form::Reduced;
use super::{LossFn, Reduction, floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error};
use crate::settings::Range::{Above, Finite};

loss! {
    /// What an anchor's distance from its negative lacks to be `margin` more than that from its positive; all three are `[n, d]`. It counts triplets.
    ///
    /// Source: `torch.nn.TripletMarginLoss`, but shapes must be equal where PyTorch broadcasts.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, TripletMargin};
    /// use tch::Tensor;
    ///
    /// let row = |x: f64| Tensor::from_slice(&[x]).view([1, 1]);
    /// let outputs = Outputs::from([("anchor", row(0.0)), ("positive", row(2.0)), ("negative", row(2.5))]);
    /// let loss = TripletMargin::new().loss(&outputs, &Batch::default())?;
    /// assert!((loss.value.double_value(&[]) - 0.5).abs() < 1e-5);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    TripletMargin = "triplet_margin";
    tensors {
        anchor = "anchor", "the anchors";
        positive = "positive", "what is like the anchors";
        negative = "negative", "what is unlike the anchors";
    }
    settings {
        margin: number(Above(0.0)) = 1.0, "How much farther the negative must be";
        p: number(Finite) = 2.0, "The norm of the distance";
        eps: number(Finite) = 1e-6, "What is added to each difference";
        swap: switch() = false, "Whether the positive's distance from the negative counts if less";
    }
}

impl Reduced for TripletMargin {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, _: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (anchor, positive) = (outputs.get(&self.anchor)?, outputs.get(&self.positive)?);
        let negative = outputs.get(&self.negative)?;
        let size = anchor.size();
        let Some((_, rows)) = size.split_last() else {
            let expected = "it must be [n, d], or [d] of one triplet".into();
            return Err(Error::Shape { what: format!("`{}`", self.anchor), got: size, expected }.into());
        };
        for (name, other) in [(&self.positive, positive), (&self.negative, negative)] {
            same_shape(&self.anchor, anchor, name, other)?;
            floating(name, other)?;
        }
        floating(&self.anchor, anchor)?;
        let (margin, p, eps, swap) = (self.margin, self.p, self.eps, self.swap);
        let value = Tensor::f_triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, to)?;
        Ok((value, rows.iter().product::<i64>() as f64))
    }
}

impl LossFn for TripletMargin {
    by_reduction!();
}
