//! The negative log likelihood under a normal distribution.
use std::f64::consts::PI;

use tch::{Reduction as Torchs, Tensor};

use super::checks::{broadcasts, given, outside, pair};
use super::form::{Reduced, reduce};
use super::{LossFn, Reduction, floating};
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Error, Result};
use crate::settings::Range::Above;

loss! {
    /// The negative log likelihood of the target under normal distributions, with the output as their means and `var` as their variances. It counts elements.
    ///
    /// `var` is an output or a tensor of the batch: of the output's shape, of that without its last dimension, with a last dimension of 1, or one number. Waits for the
    /// device, to see that no variance is negative. Source: `torch.nn.GaussianNLLLoss`.
    ///
    /// ```
    /// use catena_tensor::batch::{Batch, Outputs};
    /// use catena_tensor::loss::{GaussianNll, LossFn};
    /// use tch::Tensor;
    ///
    /// let (mean, var) = (Tensor::from_slice(&[1.0, 4.0]), Tensor::from_slice(&[1.0, 1.0]));
    /// let outputs = Outputs::from([("output", mean), ("var", var)]);
    /// let batch = Batch::new([("target", Tensor::from_slice(&[1.0, 2.0]))]);
    /// assert_eq!(GaussianNll::new().loss(&outputs, &batch)?.value.double_value(&[]), 1.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    GaussianNll = "gaussian_nll";
    tensors {
        output = "output", "the means";
        target = "target", "the truth";
        var = "var", "the variances";
    }
    settings {
        full: switch() = false, "Whether the constant ln(2 pi) / 2 is added";
        eps: number(Above(0.0)) = 1e-6, "The least variance";
    }
}

impl GaussianNll {
    /// The variances, of at least `eps`, in a shape that broadcasts to the output's.
    fn variances(&self, output: &Tensor, var: &Tensor) -> Result<Tensor> {
        floating(&self.var, var)?;
        let (size, own) = (output.size(), var.size());
        let var = match size.split_last() {
            _ if own == size || own.is_empty() => var.shallow_clone(),
            Some((_, rows)) if own == rows => var.f_unsqueeze(-1)?,
            Some((_, rows))
                if own.len() == size.len() && own.starts_with(rows) && broadcasts(&own, &size) =>
            {
                var.shallow_clone()
            }
            _ => {
                let expected = format!(
                    "`{}` has shape {size:?}: `var` needs it, or all of it but the last",
                    self.output
                );
                return Err(Error::Shape { what: format!("`{}`", self.var), got: own, expected });
            }
        };
        if var.numel() > 0
            && let Some(number) = outside(&var.f_detach()?.f_min()?, 0.0, f64::INFINITY).filter(|x| *x < 0.0)
        {
            let why = format!("`{}` has {number}, but a variance is at least 0", self.var);
            return Err(Error::Settings { of: "gaussian_nll".into(), why });
        }
        // as in PyTorch, what is raised to eps has a gradient all the same
        let mut raised = var.f_mul_scalar(1.0)?;
        drop(tch::no_grad(|| raised.f_clamp_min_(self.eps))?);
        Ok(raised)
    }
}

impl Reduced for GaussianNll {
    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError> {
        let (output, target) = (outputs.get(&self.output)?, batch.get(&self.target)?);
        let target = pair(&self.output, output, &self.target, target)?;
        let var = self.variances(output, given(&self.var, outputs, batch)?)?;
        let error = output.f_sub(&target)?.f_square()?.f_div(&var)?;
        let mut each = var.f_log()?.f_add(&error)?.f_mul_scalar(0.5)?;
        if self.full {
            each = each.f_add_scalar(0.5 * (2.0 * PI).ln())?;
        }
        reduce(each, to)
    }
}

impl LossFn for GaussianNll {
    by_reduction!();
}
