//! The hinge loss of classes.
use tch::{Reduction as Torchs, Tensor};

use super::checks::{dims, shape, whole};
use super::form::{Reduced, reduce};
use super::labels::Labels;
use super::{LossFn, Reduction, Weights, floating};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error};
use crate::settings::Range::Finite;

loss! {
    /// What the right class's score lacks to be `margin` above each other, to the power `p`, over the number of classes. Scores are `[n, classes]`, labels `[n]`. It counts samples,
    /// whatever the weights of their classes are.
    ///
    /// Source: `torch.nn.MultiMarginLoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{LossFn, MultiMargin};
    /// use tch::Tensor;
    ///
    /// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 0.5]).view([1, 2]));
    /// let batch = Batch::new([("target", Tensor::from_slice(&[0i64]))]);
    /// assert_eq!(MultiMargin::new().loss(&outputs, &batch)?.value.double_value(&[]), 0.25);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    MultiMargin = "multi_margin";
    tensors { output = "output", "the scores"; target = "target", "the labels"; }
    settings {
        p: whole() = 1, "The power, 1 or 2";
        margin: number(Finite) = 1.0, "How far the right class must be above the others";
        weight: weights() = None, "A weight for each class";
    }
}

impl Reduced for MultiMargin {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        floating(&self.output, output)?;
        dims(&self.output, output, &[1, 2], "[n, classes], or [classes] of one sample")?;
        let size = output.size();
        shape(&self.target, target, &size[..size.len() - 1], "each sample needs a label")?;
        let labels = whole(&self.target, target)?;
        let classes = size.last().copied().unwrap_or_default();
        let weight = self.weight.as_ref().map(|w| w.of_classes(output, classes)).transpose()?;
        let own = Labels {
            of: "multi_margin",
            output: &self.output,
            target: &self.target,
            weight: None,
            ignore_index: None,
            class_dim: 1,
        };
        let rows = output.f_reshape([-1, classes])?;
        let right = labels.f_reshape([-1, 1])?;
        let score = rows.f_gather(1, &right, false).map_err(|error| own.explain(&rows, &labels, error))?;
        // the right class beside itself costs nothing
        let short = rows.f_sub(&score)?.f_add_scalar(self.margin)?;
        let short = short.f_scatter_value(1, &right, 0.0)?.f_relu()?;
        let mut each = if self.p == 2 { short.f_square()? } else { short };
        if let Some(weight) = weight {
            each = each.f_mul(&weight.f_index_select(0, &right.f_view([-1])?)?.f_unsqueeze(1)?)?;
        }
        let each = each.f_sum_dim_intlist(1i64, false, None)?.f_div_scalar(classes as f64)?;
        reduce(each.f_reshape(&size[..size.len() - 1])?, to)
    }

    fn check_pairs(&self) -> crate::error::Result<()> {
        if !(1..=2).contains(&self.p) {
            let (got, allowed) = (self.p.to_string(), "1 or 2".into());
            return Err(Error::Setting { of: "multi_margin".into(), name: "p".into(), got, allowed });
        }
        Weights::check(self.weight.as_ref(), "multi_margin", "weight")
    }
}

impl LossFn for MultiMargin {
    by_reduction!();
}
