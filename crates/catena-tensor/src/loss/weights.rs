//! Weights of classes or elements, as a setting of a loss.
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

use super::checks::broadcasts;
use crate::error::{Error, Result};

/// The weights of a loss: a number for each class, or any shape that broadcasts to the loss's, as PyTorch's tensor `weight`. In data, it is a list of numbers, or of
/// such lists.
///
/// ```
/// use catena_tensor::loss::Weights;
///
/// let weights: Weights = [1.0, 0.5].into();
/// assert_eq!(weights.shape(), [2]);
/// let column: Weights = serde_json::from_str("[[1.0],[0.5]]")?;
/// assert_eq!(column.shape(), [2, 1]);
/// assert_eq!(serde_json::to_string(&column)?, "[[1.0],[0.5]]");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Weights {
    shape: Vec<i64>,
    numbers: Vec<f64>,
}

impl Weights {
    /// Their shape.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// As a tensor of another's dtype and device.
    pub(super) fn like(&self, other: &Tensor) -> Result<Tensor> {
        let tensor = Tensor::f_from_slice(&self.numbers)?.f_view(&self.shape[..])?;
        Ok(tensor.f_to_device(other.device())?.f_to_kind(other.f_kind()?)?)
    }

    /// As a tensor of another's dtype and device, if it broadcasts to this shape.
    pub(super) fn over(&self, name: &str, other: &Tensor, shape: &[i64]) -> Result<Tensor> {
        if broadcasts(&self.shape, shape) {
            return self.like(other);
        }
        let (what, got) = (format!("`{name}`"), self.shape.clone());
        Err(Error::Shape {
            what,
            got,
            expected: format!("it must broadcast to the target's shape {shape:?}"),
        })
    }

    /// As a tensor of another's dtype and device, if there is one for each class.
    pub(super) fn of_classes(&self, other: &Tensor, classes: i64) -> Result<Tensor> {
        if self.shape == [classes] {
            return self.like(other);
        }
        let expected = format!("the output has {classes} classes, and each needs a weight: [{classes}]");
        Err(Error::Shape { what: "`weight`".into(), got: self.shape.clone(), expected })
    }

    /// Refuses what weighs nothing sensible.
    pub(super) fn check(weights: Option<&Self>, of: &str, name: &str) -> Result<()> {
        let wrong = |number: &&f64| !(number.is_finite() && **number >= 0.0);
        match weights.and_then(|weights| weights.numbers.iter().find(wrong)) {
            None => Ok(()),
            Some(number) => Err(Error::Setting {
                of: of.into(),
                name: name.into(),
                got: format!("a list with {number}"),
                allowed: "numbers of at least 0".into(),
            }),
        }
    }
}

impl From<Vec<f64>> for Weights {
    fn from(numbers: Vec<f64>) -> Self {
        Self { shape: vec![numbers.len() as i64], numbers }
    }
}

impl<const N: usize> From<[f64; N]> for Weights {
    fn from(numbers: [f64; N]) -> Self {
        numbers.to_vec().into()
    }
}

impl TryFrom<&Tensor> for Weights {
    type Error = Error;

    fn try_from(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.f_detach()?.f_to_kind(tch::Kind::Double)?.f_contiguous()?.f_view([-1])?;
        Ok(Self { shape: tensor.size(), numbers: Vec::try_from(&flat)? })
    }
}

impl TryFrom<Value> for Weights {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        fn fill(value: &Value, depth: usize, into: &mut Weights) -> std::result::Result<(), String> {
            match value {
                Value::Array(items) => {
                    let size = items.len() as i64;
                    match into.shape.get(depth) {
                        None if into.numbers.is_empty() => into.shape.push(size),
                        Some(known) if *known == size => {}
                        _ => return Err("weights are lists of numbers, all of one length".into()),
                    }
                    items.iter().try_for_each(|item| fill(item, depth + 1, into))
                }
                value if depth == into.shape.len() => {
                    into.numbers
                        .push(value.as_f64().ok_or_else(|| format!("the weight {value} is not a number"))?);
                    Ok(())
                }
                _ => Err("weights are lists of numbers, all of one length".into()),
            }
        }
        let mut weights = Self { shape: Vec::new(), numbers: Vec::new() };
        fill(&value, 0, &mut weights)?;
        Ok(weights)
    }
}

impl From<Weights> for Value {
    fn from(weights: Weights) -> Self {
        fn nest(shape: &[i64], numbers: &[f64]) -> Value {
            match shape {
                [] => numbers.first().copied().into(),
                [n, rest @ ..] => {
                    let each = numbers.len() / usize::try_from(*n).unwrap_or(1).max(1);
                    numbers.chunks(each.max(1)).map(|part| nest(rest, part)).collect()
                }
            }
        }
        nest(&weights.shape, &weights.numbers)
    }
}
