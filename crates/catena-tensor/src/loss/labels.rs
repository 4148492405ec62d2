//! Labels of classes: what fits the logits, which labels count, and what a wrong one is told.
use tch::{Kind, Tensor};

use super::checks::is_whole;
use super::{Weights, floating};
use crate::error::{Error, Result};

/// How a loss reads labels: the names of its tensors, and its settings about classes.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    pub(super) of: &'a str,
    pub(super) output: &'a str,
    pub(super) target: &'a str,
    pub(super) weight: Option<&'a Weights>,
    pub(super) ignore_index: Option<i64>,
    pub(super) class_dim: i64,
}

/// What a target holds.
pub(super) enum Target {
    Labels(Tensor),
    Probabilities(Tensor),
}

impl Labels<'_> {
    /// The output with its classes in the second dimension, where libtorch wants them.
    pub(super) fn classes_second(&self, output: &Tensor) -> Result<Tensor> {
        floating(self.output, output)?;
        let size = output.size();
        if size.len() < 2 {
            // torch would take a batch of single numbers for one sample of many classes
            let expected = "logits need two dimensions at least, [n, classes]".into();
            return Err(Error::Shape { what: format!("`{}`", self.output), got: size, expected });
        }
        self.moved(output)
    }

    fn moved(&self, tensor: &Tensor) -> Result<Tensor> {
        let dims = tensor.dim() as i64;
        if self.class_dim == 1 {
            return Ok(tensor.shallow_clone());
        }
        if !(-dims..dims).contains(&self.class_dim) {
            return Err(Error::Setting {
                of: self.of.into(),
                name: "class_dim".into(),
                got: self.class_dim.to_string(),
                allowed: format!("a dimension of the output, which has {dims}"),
            });
        }
        Ok(tensor.f_movedim_int(self.class_dim, 1)?)
    }

    /// What the target is, if it fits the logits, whose classes stand second.
    pub(super) fn judge(
        &self,
        logits: &Tensor,
        target: &Tensor,
        may_be_probabilities: bool,
    ) -> Result<Target> {
        let (size, kind) = (logits.size(), target.f_kind()?);
        let what = format!("`{}`", self.target);
        let label_shape = [&size[..1], &size[2..]].concat();
        let is_whole = is_whole(kind);
        if is_whole && target.size() == label_shape {
            return Ok(Target::Labels(match kind {
                Kind::Int64 => target.shallow_clone(),
                _ => target.f_to_kind(Kind::Int64)?,
            }));
        }
        let shown = match self.class_dim {
            1 => format!("{size:?}"),
            _ => format!("{size:?} (its classes moved to the second dimension)"),
        };
        if !may_be_probabilities {
            let expected = format!("`{}` has shape {shown}, so labels need {label_shape:?}", self.output);
            return Err(match target.size() == label_shape {
                true => Error::Kind { what, got: kind, expected: "labels must be whole numbers".into() },
                false => Error::Shape { what, got: target.size(), expected },
            });
        }
        let is_of_classes = target.dim() == size.len() && {
            let moved = self.moved(target)?;
            moved.size() == size
        };
        if is_whole || !is_of_classes {
            let expected = format!(
                "`{}` has shape {shown}, so labels need {label_shape:?}, and class probabilities {size:?}",
                self.output
            );
            let of_kind = format!("{expected} and a floating point dtype");
            return Err(match target.size() == label_shape {
                true => Error::Kind { what, got: kind, expected: "labels must be whole numbers".into() },
                false if is_of_classes => Error::Kind { what, got: kind, expected: of_kind },
                false => Error::Shape { what, got: target.size(), expected },
            });
        }
        if let Some(label) = self.ignore_index {
            let name = "ignore_index".to_owned();
            let allowed = "left out where the target is of class probabilities".to_owned();
            return Err(Error::Setting { of: self.of.into(), name, got: label.to_string(), allowed });
        }
        Ok(Target::Probabilities(self.moved(target)?))
    }

    /// The class weights as a tensor.
    pub(super) fn class_weights(&self, logits: &Tensor) -> Result<Option<Tensor>> {
        let classes = logits.size().get(1).copied().unwrap_or_default();
        self.weight.map(|weight| weight.of_classes(logits, classes)).transpose()
    }

    /// The label to ignore; no label, if each is counted or refused.
    pub(super) fn ignored(&self) -> i64 {
        self.ignore_index.unwrap_or(i64::MIN)
    }

    /// What a mean over these labels is over: those that are not ignored, by the weights of their classes. Unless it is their number, it waits for the device.
    pub(super) fn count(&self, labels: &Tensor) -> Result<f64> {
        let Some(weight) = self.weight else {
            return Ok(match self.ignore_index {
                None => labels.numel() as f64,
                Some(label) => labels.f_ne(label)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64,
            });
        };
        let flat = labels.f_flatten(0, -1)?;
        let counted = flat.f_masked_select(&flat.f_ne(self.ignored())?)?;
        let like = Tensor::f_zeros([0], (Kind::Double, labels.device()))?;
        Ok(weight.like(&like)?.f_index_select(0, &counted)?.f_sum(Kind::Double)?.f_double_value(&[])?)
    }

    /// The label that libtorch has thrown for, if it is one.
    pub(super) fn explain(&self, logits: &Tensor, labels: &Tensor, error: tch::TchError) -> Error {
        let classes = logits.size().get(1).copied().unwrap_or_default();
        let wrong = |label: &i64| (*label < 0 || *label >= classes) && Some(*label) != self.ignore_index;
        let labels = labels.f_flatten(0, -1).and_then(Vec::<i64>::try_from);
        match labels.ok().and_then(|labels| labels.into_iter().find(wrong)) {
            Some(label) => Error::Label { label, classes },
            None => error.into(),
        }
    }

    /// Refuses weights that are no weights.
    pub(super) fn check(&self) -> Result<()> {
        Weights::check(self.weight, self.of, "weight")
    }
}

/// The method by which a loss reads its labels: its own name and fields.
macro_rules! labels {
    ($loss:ident) => {
        impl $loss {
            fn labels(&self) -> super::labels::Labels<'_> {
                super::labels::Labels {
                    of: <Self as crate::settings::Configured>::NAME,
                    output: &self.output,
                    target: &self.target,
                    weight: self.weight.as_ref(),
                    ignore_index: self.ignore_index,
                    class_dim: self.class_dim,
                }
            }
        }
    };
}
pub(super) use labels;
