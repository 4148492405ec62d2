//! A linear layer.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, at_least_1, floats, shape};
use super::fused::Part;
use super::variables::{Variables, kaiming};

/// `input · weightᵀ + bias`, from `[…, in_features]` to `[…, out_features]`.
///
/// Parameters: `weight` `[out_features, in_features]` and `bias` `[out_features]`, both uniform within `±1/√in_features`.
/// Source: `torch.nn.Linear`.
///
/// ```
/// use catena_tensor::layers::{Layers, Linear};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "fc", Linear::new(4, 2).bias(false))?;
/// let output = layers.forward(&Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)), Mode::Eval)?;
/// assert_eq!(output.size(), [8, 2]);
///
/// let error = layers.forward(&Tensor::zeros([8, 5], (Kind::Float, Device::Cpu)), Mode::Eval).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `fc` (Linear): the input has shape [8, 5], but its last dimension must be `in_features` (4)",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Linear {
    /// How many numbers come in, at least 1.
    pub in_features: i64,
    /// How many come out, at least 1.
    pub out_features: i64,
    /// Whether there is a bias (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
}

impl Linear {
    /// With a bias.
    pub fn new(in_features: i64, out_features: i64) -> Self {
        Self { in_features, out_features, bias: true }
    }

    /// Whether there is a bias (default yes).
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Define for Linear {
    fn check(&self) -> Outcome<()> {
        at_least_1("in_features", self.in_features)?;
        at_least_1("out_features", self.out_features)
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let weight = variables.parameter("weight", &[self.out_features, self.in_features])?;
        let bias = variables.filled(self.bias, "bias", &[self.out_features], 0.0)?;
        kaiming(&weight, bias.as_ref())?;
        Ok(Box::new(Made { in_features: self.in_features, weight, bias }))
    }
}

#[derive(Debug)]
struct Made {
    in_features: i64,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        shape(input.size().last() == Some(&self.in_features), input, || {
            format!("its last dimension must be `in_features` ({})", self.in_features)
        })?;
        floats(input)?;
        Ok(input.f_linear(&self.weight, self.bias.as_ref())?)
    }

    fn part(&self) -> Option<Part<'_>> {
        Some(Part::Linear(&self.weight, self.bias.as_ref()))
    }
}
