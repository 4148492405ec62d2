//! Cross entropy.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Reduction, Tensor};

use super::{Loss, LossFn, written};
use crate::batch::{Batch, OUTPUT, Outputs, TARGET};
use crate::{Error, Result};

/// Cross entropy of logits `[n, classes]` (or `[n, classes, …]`) and labels `[n]` (or `[n, …]`, i64), the mean over labels.
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
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
        // no label, so that each is counted or refused
        let ignore_index = self.ignore_index.unwrap_or(i64::MIN);
        let value = logits
            .f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, ignore_index, self.label_smoothing)
            .map_err(|error| self.explain(logits, labels, error))?;
        Ok(Loss::new(value, weight))
    }

    fn name(&self) -> &str {
        "CrossEntropy"
    }

    fn settings(&self) -> Value {
        written("cross_entropy", self)
    }

    fn check(&self) -> Result<()> {
        let got = self.label_smoothing;
        if (0.0..=1.0).contains(&got) {
            return Ok(());
        }
        let (of, name, allowed) = ("cross_entropy".into(), "label_smoothing".into(), "in [0, 1]".into());
        Err(Error::Setting { of, name, got: got.to_string(), allowed })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

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
