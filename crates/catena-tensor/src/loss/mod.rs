//! Losses: a scalar to go down, and what it counts in a mean.
#[macro_use]
mod form;

mod any;
mod cross_entropy;
mod mse;

use serde_json::Value;
use tch::{Kind, Tensor};

pub use any::{AnyLoss, from_value, names, registry};
pub use cross_entropy::CrossEntropy;
pub use mse::Mse;

use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error, Result};

/// A batch's loss.
#[derive(Debug)]
pub struct Loss {
    /// A scalar, the mean over what the loss counts.
    pub value: Tensor,
    /// What the loss counts in a mean over batches: samples, or tokens. A host number.
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
