//! How much two masks overlap: what dice, intersection over union and Tversky's index share.
use tch::{Kind, Tensor};

use super::checks::{as_numbers, is_whole};
use super::{floating, same_shape};
use crate::error::{Error, Result};

/// How a loss of masks reads its tensors.
#[derive(Clone, Copy)]
pub(super) struct Masks<'a> {
    pub(super) output: &'a str,
    pub(super) target: &'a str,
    pub(super) sigmoid: bool,
    pub(super) softmax: bool,
}

/// Sums over the elements of each sample and class, `[n, classes]`: of what is in both, of the output and of the target.
pub(super) struct Sums {
    pub(super) both: Tensor,
    pub(super) output: Tensor,
    pub(super) target: Tensor,
}

impl Masks<'_> {
    /// The sums of an output `[n, classes, …]`, and a target of its shape, or of labels `[n, …]`.
    pub(super) fn sums(&self, output: &Tensor, target: &Tensor) -> Result<Sums> {
        floating(self.output, output)?;
        let size = output.size();
        if size.len() < 2 {
            let expected = "masks need two dimensions at least, [n, classes, …]".into();
            return Err(Error::Shape { what: format!("`{}`", self.output), got: size, expected });
        }
        let label_shape = [&size[..1], &size[2..]].concat();
        let target = if target.size() == label_shape && is_whole(target.f_kind()?) {
            one_hot(target, size[1])?.f_to_kind(output.f_kind()?)?
        } else {
            same_shape(self.output, output, self.target, target)?;
            as_numbers(target, output)?
        };
        let masks = match (self.sigmoid, self.softmax) {
            (true, _) => output.f_sigmoid()?,
            (_, true) => output.f_softmax(1, None)?,
            _ => output.shallow_clone(),
        };
        // sums of low precision would lose pixels
        let wide = |tensor: Tensor| match tensor.f_kind()? {
            Kind::Half | Kind::BFloat16 => tensor.f_to_kind(Kind::Float),
            _ => Ok(tensor),
        };
        let (masks, target) = (wide(masks)?, wide(target)?);
        let total = |tensor: &Tensor| match size.len() {
            2 => Ok(tensor.shallow_clone()),
            _ => tensor.f_flatten(2, -1)?.f_sum_dim_intlist(-1, false, None),
        };
        Ok(Sums { both: total(&masks.f_mul(&target)?)?, output: total(&masks)?, target: total(&target)? })
    }

    /// Refuses both at once.
    pub(super) fn check(&self, of: &str) -> Result<()> {
        if !(self.sigmoid && self.softmax) {
            return Ok(());
        }
        let why = "`sigmoid` and `softmax` are both true, but the output is made a probability once".into();
        Err(Error::Settings { of: of.into(), why })
    }
}

/// Labels `[n, …]` as `[n, classes, …]`.
fn one_hot(labels: &Tensor, classes: i64) -> Result<Tensor> {
    let labels = labels.f_to_kind(Kind::Int64)?;
    let all = Vec::<i64>::try_from(labels.f_flatten(0, -1)?)?;
    if let Some(label) = all.into_iter().find(|label| !(0..classes).contains(label)) {
        return Err(Error::Label { label, classes });
    }
    Ok(labels.f_one_hot(classes)?.f_movedim_int(-1, 1)?)
}

/// 1 less the index `(both + smooth) / (both + alpha * too much + beta * too little + smooth)` of each sample and class.
pub(super) fn tversky(sums: &Sums, alpha: f64, beta: f64, smooth: f64) -> Result<Tensor> {
    let too_much = sums.output.f_sub(&sums.both)?.f_mul_scalar(alpha)?;
    let too_little = sums.target.f_sub(&sums.both)?.f_mul_scalar(beta)?;
    let whole = sums.both.f_add(&too_much)?.f_add(&too_little)?.f_add_scalar(smooth)?;
    Ok(sums.both.f_add_scalar(smooth)?.f_div(&whole)?.f_rsub_scalar(1.0)?)
}

/// What the losses of masks share: how they read them and how they are reduced. The rest is their index.
macro_rules! of_masks {
    ($loss:ident, |$own:ident| ($alpha:expr, $beta:expr, $smooth:expr)) => {
        impl $loss {
            fn masks(&self) -> super::overlap::Masks<'_> {
                let (output, target) = (&self.output, &self.target);
                super::overlap::Masks { output, target, sigmoid: self.sigmoid, softmax: self.softmax }
            }
        }

        impl super::form::Reduced for $loss {
            fn reduction(&self) -> super::Reduction {
                self.reduction
            }

            fn reduced(
                &self,
                outputs: &crate::batch::Outputs,
                batch: &crate::batch::Batch,
                to: tch::Reduction,
            ) -> Result<(tch::Tensor, f64), crate::error::BoxError> {
                let sums = self.masks().sums(outputs.get(&self.output)?, batch.get(&self.target)?)?;
                let $own = self;
                super::form::reduce(super::overlap::tversky(&sums, $alpha, $beta, $smooth)?, to)
            }

            fn check_pairs(&self) -> crate::error::Result<()> {
                self.masks().check(<Self as crate::settings::Configured>::NAME)
            }
        }
    };
}
pub(super) use of_masks;
