//! The state that an optimizer keeps of each parameter.
use catena_native::TensorList;
use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// A tensor of state that each parameter has. It is zero before the parameter's first step; a rule sets what starts otherwise
/// when `stepped` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Like the parameter. The name is torch's, such as `exp_avg`.
    Like(&'static str),
    /// A counter: an f32 scalar on the parameter's device, named `step`.
    Step,
    /// A counter on the CPU, named `step`.
    StepOnHost,
    /// A number: an f32 scalar on the CPU, such as NAdam's `mu_product`.
    Number(&'static str),
    /// A number a row: the parameter's shape with 1 as the last size. Only from two dimensions on.
    Rows(&'static str),
    /// A number a column: the parameter's shape with 1 as the last size but one. Only from two dimensions on.
    Columns(&'static str),
    /// Like the parameter, but only below two dimensions.
    Vector(&'static str),
}

impl Slot {
    /// The name in a state dict.
    pub fn name(self) -> &'static str {
        match self {
            Self::Like(name)
            | Self::Number(name)
            | Self::Rows(name)
            | Self::Columns(name)
            | Self::Vector(name) => name,
            Self::Step | Self::StepOnHost => "step",
        }
    }

    /// Whether a parameter of so many dimensions has it.
    pub(super) fn is_for(self, dimensions: usize) -> bool {
        match self {
            Self::Rows(_) | Self::Columns(_) => dimensions > 1,
            Self::Vector(_) => dimensions < 2,
            Self::Like(_) | Self::Step | Self::StepOnHost | Self::Number(_) => true,
        }
    }

    /// Whether it is one number, in a dtype of its own.
    pub(super) fn is_number(self) -> bool {
        match self {
            Self::Step | Self::StepOnHost | Self::Number(_) => true,
            Self::Like(_) | Self::Rows(_) | Self::Columns(_) | Self::Vector(_) => false,
        }
    }

    /// The state of a new parameter: zeros, or nothing of size 0 if the parameter doesn't have it.
    pub(super) fn all_zeros(self, params: &[Tensor]) -> Result<TensorList> {
        let made: Vec<Tensor> = params.iter().map(|param| self.zeros(param)).collect::<Result<_>>()?;
        Ok(TensorList::new(&made)?)
    }

    fn zeros(self, param: &Tensor) -> Result<Tensor> {
        let mut size = param.size();
        let n = size.len();
        let options = (param.f_kind()?, param.device());
        if !self.is_for(n) {
            return Ok(Tensor::f_zeros([0], options)?);
        }
        Ok(match self {
            Self::Like(_) | Self::Vector(_) => param.f_detach()?.f_zeros_like()?,
            Self::Step => Tensor::f_zeros([0i64; 0], (Kind::Float, param.device()))?,
            Self::StepOnHost | Self::Number(_) => Tensor::f_zeros([0i64; 0], (Kind::Float, Device::Cpu))?,
            Self::Rows(_) => {
                size[n - 1] = 1;
                Tensor::f_zeros(size, options)?
            }
            Self::Columns(_) => {
                size[n - 2] = 1;
                Tensor::f_zeros(size, options)?
            }
        })
    }
}
