//! Losses: a scalar to go down, and what it counts in a mean.
#[macro_use]
mod form;

mod any;
mod bce;
mod bce_with_logits;
mod checks;
mod contrastive;
mod cosine_embedding;
mod cross_entropy;
mod ctc;
mod dice;
mod distillation;
mod focal;
mod gaussian_nll;
mod hinge_embedding;
mod huber;
mod info_nce;
mod iou;
mod kl_div;
mod l1;
mod labels;
mod margin_ranking;
mod mse;
mod multi_label_margin;
mod multi_label_soft_margin;
mod multi_margin;
mod nll;
mod nt_xent;
mod overlap;
mod poisson_nll;
mod reduction;
mod sigmoid_focal;
mod smooth_l1;
mod soft_margin;
mod soft_target_cross_entropy;
mod triplet_margin;
mod tversky;
mod weights;

use serde_json::Value;
use tch::{Kind, Tensor};

pub use any::{AnyLoss, from_value, names, registry};
pub use bce::Bce;
pub use bce_with_logits::BceWithLogits;
pub use contrastive::Contrastive;
pub use cosine_embedding::CosineEmbedding;
pub use cross_entropy::CrossEntropy;
pub use ctc::Ctc;
pub use dice::Dice;
pub use distillation::Distillation;
pub use focal::Focal;
pub use gaussian_nll::GaussianNll;
pub use hinge_embedding::HingeEmbedding;
pub use huber::Huber;
pub use info_nce::InfoNce;
pub use iou::Iou;
pub use kl_div::KlDiv;
pub use l1::L1;
pub use margin_ranking::MarginRanking;
pub use mse::Mse;
pub use multi_label_margin::MultiLabelMargin;
pub use multi_label_soft_margin::MultiLabelSoftMargin;
pub use multi_margin::MultiMargin;
pub use nll::Nll;
pub use nt_xent::NtXent;
pub use poisson_nll::PoissonNll;
pub use reduction::Reduction;
pub use sigmoid_focal::SigmoidFocal;
pub use smooth_l1::SmoothL1;
pub use soft_margin::SoftMargin;
pub use soft_target_cross_entropy::SoftTargetCrossEntropy;
pub use triplet_margin::TripletMargin;
pub use tversky::Tversky;
pub use weights::Weights;

use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error, Result};

/// A batch's loss.
#[derive(Debug)]
pub struct Loss {
    /// A scalar, the mean over what the loss counts (or a sum, which weighs 1).
    pub value: Tensor,
    /// What the loss counts in a mean over batches: the number that its own mean is over, such as labels or elements. A host number.
    pub weight: f64,
}

impl Loss {
    /// A loss of this value and weight.
    pub fn new(value: Tensor, weight: f64) -> Self {
        Self { value, weight }
    }
}

/// From outputs and batch to a loss.
///
/// A closure becomes one with [`from_fn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a loss",
    note = "a closure becomes a loss with `loss::from_fn(\"name\", |outputs, batch| …)`"
)]
pub trait LossFn {
    /// The loss of a batch.
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError>;

    /// The losses one by one, as PyTorch has them with `reduction="none"`.
    ///
    /// # Errors
    ///
    /// As [`LossFn::loss`]; and for a loss that has no others than that of the batch, such as a closure.
    fn unreduced(&mut self, _outputs: &Outputs, _batch: &Batch) -> Result<Tensor, BoxError> {
        Err(format!("the loss `{}` is one number of a batch: it has none for each element", self.name())
            .into())
    }

    /// What it is called where a run is described.
    fn name(&self) -> &str;

    /// What [`from_value`] reads; null for a loss that lives in code only.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Whether every setting is in its range.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<L: LossFn + ?Sized> LossFn for Box<L> {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError> {
        (**self).loss(outputs, batch)
    }

    fn unreduced(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        (**self).unreduced(outputs, batch)
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn settings(&self) -> Value {
        (**self).settings()
    }

    fn check(&self) -> Result<()> {
        (**self).check()
    }
}

/// Refuses a target of another shape than the output's. torch would broadcast `[n, 1]` and `[n]` to `[n, n]`, and the loss would be a
/// number of every output with every target.
///
/// ```
/// use catena_tensor::loss::same_shape;
/// use tch::Tensor;
///
/// let (output, target) = (Tensor::from_slice(&[0.5, 1.5]).unsqueeze(1), Tensor::from_slice(&[0.0, 1.0]));
/// assert_eq!(
///     same_shape("output", &output, "target", &target).unwrap_err().to_string(),
///     "`target` of shape [2] doesn't fit: `output` has shape [2, 1], and the two must be equal",
/// );
/// assert!(same_shape("output", &output.squeeze(), "target", &target).is_ok());
/// ```
pub fn same_shape(output_name: &str, output: &Tensor, target_name: &str, target: &Tensor) -> Result<()> {
    if output.size() == target.size() {
        return Ok(());
    }
    Err(Error::Shape {
        what: format!("`{target_name}`"),
        got: target.size(),
        expected: format!("`{output_name}` has shape {:?}, and the two must be equal", output.size()),
    })
}

/// Refuses an output that no gradient could flow through.
fn floating(name: &str, output: &Tensor) -> Result<()> {
    match output.f_kind()? {
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => Ok(()),
        got => Err(Error::Kind {
            what: format!("`{name}`"),
            got,
            expected: "a loss is taken of real floating point numbers".into(),
        }),
    }
}

/// A loss from a closure that returns the mean over the batch, which counts by the batch's weight. Another thing than one number is an
/// error.
///
/// ```
/// use catena_tensor::loss;
/// use tch::Reduction;
///
/// let l1 = loss::from_fn("L1", |outputs, batch| {
///     let (output, target) = (outputs.get("output")?, batch.get("target")?);
///     loss::same_shape("output", output, "target", target)?;
///     Ok(output.f_l1_loss(target, Reduction::Mean)?)
/// });
/// # use loss::LossFn;
/// assert_eq!(l1.name(), "L1");
/// ```
pub fn from_fn(
    name: impl Into<String>,
    value: impl FnMut(&Outputs, &Batch) -> Result<Tensor, BoxError> + 'static,
) -> impl LossFn + 'static {
    FromFn { name: name.into(), value }
}

struct FromFn<F> {
    name: String,
    value: F,
}

impl<F: FnMut(&Outputs, &Batch) -> Result<Tensor, BoxError>> LossFn for FromFn<F> {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError> {
        let value = (self.value)(outputs, batch)?;
        if value.numel() != 1 {
            return Err(Error::Shape {
                what: format!("the loss `{}`", self.name),
                got: value.size(),
                expected: "a loss is one number, the mean over what it counts".into(),
            }
            .into());
        }
        Ok(Loss::new(value, batch.weight))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
