//! Cross entropy.
use catena_native::fused::label_loss;
use catena_native::tensor::labels_fit;
use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{Loss, LossFn, floating};
use crate::batch::{Batch, OUTPUT, Outputs, TARGET};
use crate::error::{BoxError, Error, Result};
use crate::fusing;
use crate::settings::Range::Closed;
use crate::settings::{Configured, Setting};

/// Cross entropy of logits `[n, classes]` (or `[n, classes, …]`) and labels `[n]` (or `[n, …]`, whole numbers of any dtype), the mean
/// over labels. A target of floating point numbers in the logits' shape is of class probabilities, as in PyTorch.
///
/// Source: `torch.nn.CrossEntropyLoss`, but no label is left out unless [`CrossEntropy::ignore_index`] says so; torch's default is -100.
/// A label out of range is an error that names it.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {
    output: String,
    target: String,
    label_smoothing: f64,
    ignore_index: Option<i64>,
}

/// What a target holds.
enum Target {
    Labels,
    /// Labels of another dtype, in libtorch's.
    OtherLabels(Tensor),
    Probabilities,
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

    output_and_target!("the logits", "the labels");

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

    /// What the target is, if it fits the logits.
    fn judge(&self, logits: &Tensor, target: &Tensor) -> Result<Target> {
        floating(&self.output, logits)?;
        let (size, kind) = (logits.size(), target.f_kind()?);
        if size.len() < 2 {
            // torch would take a batch of single numbers for one sample of many classes
            let expected = "logits need two dimensions at least, [n, classes]".into();
            return Err(Error::Shape { what: format!("`{}`", self.output), got: size, expected });
        }
        let is_whole =
            matches!(kind, Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8 | Kind::Bool);
        let what = format!("`{}`", self.target);
        let label_shape = [&size[..1], &size[2..]].concat();
        if is_whole && target.size() == label_shape {
            return Ok(match kind {
                Kind::Int64 => Target::Labels,
                _ => Target::OtherLabels(target.f_to_kind(Kind::Int64)?),
            });
        }
        if is_whole || target.size() != size {
            let expected = format!(
                "`{}` has shape {size:?}, so labels need {label_shape:?}, and class probabilities {size:?}",
                self.output
            );
            let of_kind = format!("{expected} and a floating point dtype");
            return Err(match target.size() == label_shape {
                true => Error::Kind { what, got: kind, expected: "labels must be whole numbers".into() },
                false if target.size() == size => Error::Kind { what, got: kind, expected: of_kind },
                false => Error::Shape { what, got: target.size(), expected },
            });
        }
        if let Some(label) = self.ignore_index {
            let name = "ignore_index".to_owned();
            let allowed = "left out where the target is of class probabilities".to_owned();
            return Err(Error::Setting { of: "cross_entropy".into(), name, got: label.to_string(), allowed });
        }
        Ok(Target::Probabilities)
    }

    fn explain(&self, logits: &Tensor, labels: &Tensor, error: tch::TchError) -> Error {
        let classes = logits.size().get(1).copied().unwrap_or_default();
        let wrong = |label: &i64| (*label < 0 || *label >= classes) && Some(*label) != self.ignore_index;
        let labels = labels.f_flatten(0, -1).and_then(Vec::<i64>::try_from);
        match labels.ok().and_then(|labels| labels.into_iter().find(wrong)) {
            Some(label) => Error::Label { label, classes },
            None => error.into(),
        }
    }
}

impl Configured for CrossEntropy {
    const NAME: &'static str = "cross_entropy";
    const SETTINGS: &'static [Setting<Self>] = &[
        Setting::text("output", "The output that has the logits"),
        Setting::text("target", "The tensor of the batch that has the labels"),
        Setting::number(
            "label_smoothing",
            |s| &mut s.label_smoothing,
            Closed(0.0, 1.0),
            "The share spread over all",
        ),
        Setting::other("ignore_index", "a whole number, or null", "null", "A label that counts for nothing"),
    ];
}

impl LossFn for CrossEntropy {
    fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> Result<Loss, BoxError> {
        let (logits, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        // the usual case costs no look at sizes
        let judged = if labels_fit(logits, target) { Target::Labels } else { self.judge(logits, target)? };
        let target = if let Target::OtherLabels(labels) = &judged { labels } else { target };
        let weight = match self.ignore_index {
            None => batch.weight,
            Some(label) => target.f_ne(label)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64,
        };
        // no label, so that each is counted or refused
        let ignore_index = self.ignore_index.unwrap_or(i64::MIN);
        let is_one_node =
            fusing::is_on() && self.label_smoothing == 0.0 && !matches!(judged, Target::Probabilities);
        // what went wrong there is told below
        let fused = if is_one_node { label_loss(logits, target, ignore_index).ok().flatten() } else { None };
        let plain = || {
            let (none, mean, smoothing) = (None::<Tensor>, Reduction::Mean, self.label_smoothing);
            logits.f_cross_entropy_loss(target, none, mean, ignore_index, smoothing).map_err(|error| {
                match judged {
                    Target::Probabilities => error.into(),
                    _ => self.explain(logits, target, error),
                }
            })
        };
        let value = fused.map_or_else(plain, Ok)?;
        Ok(Loss::new(value, weight))
    }

    as_data!();
}

#[cfg(test)]
mod tests {
    use tch::Device;

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
