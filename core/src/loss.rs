//! Losses: a scalar to go down, and what it counts in a mean.
use tch::{Reduction, Tensor};

use crate::batch::{Batch, OUTPUT, Outputs, TARGET};
use crate::{Error, Result};

/// A batch's loss.
#[derive(Debug)]
pub struct Loss {
    /// A scalar, the mean over what the loss counts.
    pub value: Tensor,
    /// What the loss counts in a mean over batches: samples, or tokens. A host number.
    pub weight: f64,
    /// What the backward pass multiplies the loss by; 1 leaves it alone. [`Loss::value`] stays what it is.
    pub scale: f64,
}

impl Loss {
    /// A loss of this value and weight.
    pub fn new(value: Tensor, weight: f64) -> Self {
        Self { value, weight, scale: 1.0 }
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
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss>;

    /// What it is called where a run is described.
    fn name(&self) -> &str;
}

/// Cross entropy of logits `[n, classes]` (or `[n, classes, …]`) and labels `[n]` (or `[n, …]`, i64), the mean over labels.
///
/// Source: `torch.nn.CrossEntropyLoss`. A label out of range is an error that names it.
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
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    output: String,
    target: String,
    label_smoothing: f64,
    ignore_index: Option<i64>,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self { output: OUTPUT.into(), target: TARGET.into(), label_smoothing: 0.0, ignore_index: None }
    }
}

impl CrossEntropy {
    /// Of `output` and `target`, without smoothing, every label counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the logits from another output (default `output`).
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = name.into();
        self
    }

    /// Takes the labels from another tensor of the batch (default `target`).
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = name.into();
        self
    }

    /// How much of each label is spread over all classes, from 0 to 1 (default 0).
    #[must_use]
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// A label that counts for nothing (default none). The weight is then the number of other labels, and finding it
    /// waits for the device each batch.
    #[must_use]
    pub fn ignore_index(mut self, label: i64) -> Self {
        self.ignore_index = Some(label);
        self
    }

    fn explain(&self, logits: &Tensor, labels: &Tensor, error: tch::TchError) -> Error {
        let size = logits.size();
        let fits = size.len() >= 2 && labels.size() == [&size[..1], &size[2..]].concat();
        if !fits {
            return Error::Shape {
                what: format!("`{}`", self.target),
                got: labels.size(),
                expected: format!(
                    "`{}` has shape {size:?}, so labels need {}",
                    self.output,
                    label_shape(&size)
                ),
            };
        }
        let wrong = |label: &i64| (*label < 0 || *label >= size[1]) && Some(*label) != self.ignore_index;
        let labels = labels.f_flatten(0, -1).and_then(Vec::<i64>::try_from);
        match labels.ok().and_then(|labels| labels.into_iter().find(wrong)) {
            Some(label) => Error::Label { label, classes: size[1] },
            None => error.into(),
        }
    }
}

fn label_shape(logits: &[i64]) -> String {
    if logits.len() < 2 {
        "logits of at least two dimensions".into()
    } else {
        format!("{:?}", [&logits[..1], &logits[2..]].concat())
    }
}

impl LossFn for CrossEntropy {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss> {
        let (logits, labels) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let weight = match self.ignore_index {
            None => batch.weight,
            Some(label) => labels.f_ne(label)?.f_sum(tch::Kind::Int64)?.f_int64_value(&[])? as f64,
        };
        // -100 is torch's default and no label
        let ignore_index = self.ignore_index.unwrap_or(-100);
        let value = logits
            .f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, ignore_index, self.label_smoothing)
            .map_err(|error| self.explain(logits, labels, error))?;
        Ok(Loss::new(value, weight))
    }

    fn name(&self) -> &str {
        "CrossEntropy"
    }
}

/// The mean squared error of two tensors of one shape. Source: `torch.nn.MSELoss`, but shapes must be equal.
///
/// ```
/// use catena_tensor::batch::{Batch, Outputs};
/// use catena_tensor::loss::{LossFn, Mse};
/// use tch::Tensor;
///
/// let outputs = Outputs::from(Tensor::from_slice(&[1.0, 4.0]));
/// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
/// assert_eq!(Mse::new().loss(&outputs, &batch)?.value.double_value(&[]), 2.0);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mse {
    output: String,
    target: String,
}

impl Default for Mse {
    fn default() -> Self {
        Self { output: OUTPUT.into(), target: TARGET.into() }
    }
}

impl Mse {
    /// Of `output` and `target`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the prediction from another output (default `output`).
    #[must_use]
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = name.into();
        self
    }

    /// Takes the truth from another tensor of the batch (default `target`).
    #[must_use]
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = name.into();
        self
    }
}

impl LossFn for Mse {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        if output.size() != target.size() {
            // torch would broadcast, which is hardly ever meant
            return Err(Error::Shape {
                what: format!("`{}`", self.target),
                got: target.size(),
                expected: format!(
                    "`{}` has shape {:?}, and the two must be equal",
                    self.output,
                    output.size()
                ),
            });
        }
        Ok(Loss::new(output.f_mse_loss(target, Reduction::Mean)?, batch.weight))
    }

    fn name(&self) -> &str {
        "Mse"
    }
}

/// A loss from a closure that returns the mean over the batch, which counts by the batch's weight.
///
/// ```
/// use catena_tensor::loss;
///
/// let l1 = loss::from_fn("L1", |outputs, batch| {
///     Ok((outputs.get("output")? - batch.get("target")?).f_abs()?.f_mean(None)?)
/// });
/// # use loss::LossFn;
/// assert_eq!(l1.name(), "L1");
/// ```
pub fn from_fn(
    name: impl Into<String>,
    value: impl FnMut(&Outputs, &Batch) -> Result<Tensor> + 'static,
) -> impl LossFn + 'static {
    FromFn { name: name.into(), value }
}

struct FromFn<F> {
    name: String,
    value: F,
}

impl<F: FnMut(&Outputs, &Batch) -> Result<Tensor>> LossFn for FromFn<F> {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss> {
        Ok(Loss::new((self.value)(outputs, batch)?, batch.weight))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
