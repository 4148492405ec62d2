//! Functions of each number: ReLU, GELU, tanh, sigmoid.
use catena_native::fused::Layer as FusedLayer;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define};
use super::fault::Outcome;
use super::fused::Part;
use super::variables::Variables;

/// `max(x, 0)` of each number, in any shape. Source: `torch.nn.ReLU`.
///
/// ```
/// use catena_tensor::layers::{Layers, Relu};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "relu", Relu)?;
/// let output = layers.forward(&Tensor::from_slice(&[-1.0, 2.0]), Mode::Eval)?;
/// assert_eq!(output, Tensor::from_slice(&[0.0, 2.0]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu;

/// `tanh(x)` of each number, in any shape. Source: `torch.nn.Tanh`.
///
/// ```
/// use catena_tensor::layers::{Layers, Tanh};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "tanh", Tanh)?;
/// let output = layers.forward(&Tensor::from_slice(&[0.0]), Mode::Eval)?;
/// assert_eq!(output, Tensor::from_slice(&[0.0]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tanh;

/// `1 / (1 + exp(-x))` of each number, in any shape. Source: `torch.nn.Sigmoid`.
///
/// ```
/// use catena_tensor::layers::{Layers, Sigmoid};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "sigmoid", Sigmoid)?;
/// let output = layers.forward(&Tensor::from_slice(&[0.0]), Mode::Eval)?;
/// assert_eq!(output, Tensor::from_slice(&[0.5]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sigmoid;

/// `x · Φ(x)` of each number, in any shape, Φ being the normal distribution's. Source: `torch.nn.GELU`.
///
/// ```
/// use catena_tensor::layers::{Approximate, Gelu, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "gelu", Gelu::new().approximate(Approximate::Tanh))?;
/// let output = layers.forward(&Tensor::from_slice(&[0.0, 100.0]), Mode::Eval)?;
/// assert_eq!(output, Tensor::from_slice(&[0.0, 100.0]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Gelu {
    /// How Φ is computed (default exactly).
    #[serde(default)]
    pub approximate: Approximate,
}

/// How [`Gelu`] computes Φ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approximate {
    /// By the error function.
    #[default]
    None,
    /// By tanh, as GPT-2 does.
    Tanh,
}

impl Gelu {
    /// Computed exactly.
    pub fn new() -> Self {
        Self::default()
    }

    /// How Φ is computed (default [`Approximate::None`]).
    #[must_use]
    pub fn approximate(mut self, approximate: Approximate) -> Self {
        self.approximate = approximate;
        self
    }
}

macro_rules! without_variables {
    ($($name:ident: $function:expr, $part:expr;)*) => {$(
        impl Define for $name {
            fn check(&self) -> Outcome<()> {
                Ok(())
            }

            fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
                Ok(Box::new(*self))
            }
        }

        impl Compute for $name {
            fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
                let function: fn(&Self, &Tensor) -> Result<Tensor, tch::TchError> = $function;
                Ok(function(self, input)?)
            }

            fn part(&self) -> Option<Part<'_>> {
                let part: fn(&Self) -> FusedLayer = $part;
                Some(Part::Plain(part(self)))
            }
        }
    )*};
}

without_variables! {
    Relu: |_, input| input.f_relu(), |_| FusedLayer::Relu;
    Tanh: |_, input| input.f_tanh(), |_| FusedLayer::Tanh;
    Sigmoid: |_, input| input.f_sigmoid(), |_| FusedLayer::Sigmoid;
    Gelu: |gelu, input| input.f_gelu(match gelu.approximate {
        Approximate::None => "none",
        Approximate::Tanh => "tanh",
    }), |gelu| FusedLayer::Gelu { tanh: gelu.approximate == Approximate::Tanh };
}
