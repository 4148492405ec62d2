//! Layer normalization.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, each_at_least_1, floats, setting, shape};
use super::fused::Part;
use super::sizes::Shape;
use super::variables::Variables;

/// Normalizes over the last dimensions, those of `normalized_shape`; training makes no difference.
///
/// Parameters: `weight` (ones) and `bias` (zeros), both of `normalized_shape`. Source: `torch.nn.LayerNorm`; the paper is
/// <https://arxiv.org/abs/1607.06450>.
///
/// ```
/// use catena_tensor::layers::{LayerNorm, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "norm", LayerNorm::new(16))?;
/// let words = Tensor::zeros([2, 5, 16], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&words, Mode::Train)?.size(), [2, 5, 16]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LayerNorm {
    /// The sizes of the last dimensions.
    pub normalized_shape: Vec<i64>,
    /// What is added to the variance, at least 0 (default 1e-5).
    #[serde(default = "default::eps")]
    pub eps: f64,
    /// Whether there are a weight and a bias (default yes).
    #[serde(default = "default::yes")]
    pub elementwise_affine: bool,
    /// Whether there is a bias where there is a weight (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
}

impl LayerNorm {
    /// Over the last dimension of this size, or the last ones of these sizes; with a weight and a bias.
    pub fn new(normalized_shape: impl Into<Shape>) -> Self {
        let normalized_shape = normalized_shape.into().0;
        Self { normalized_shape, eps: default::eps(), elementwise_affine: true, bias: true }
    }

    /// What is added to the variance, at least 0 (default 1e-5).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Whether there are a weight and a bias (default yes).
    #[must_use]
    pub fn elementwise_affine(mut self, elementwise_affine: bool) -> Self {
        self.elementwise_affine = elementwise_affine;
        self
    }

    /// Whether there is a bias where there is a weight (default yes).
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Define for LayerNorm {
    fn check(&self) -> Outcome<()> {
        let shape = &self.normalized_shape;
        setting(!shape.is_empty(), "normalized_shape", shape, "of one dimension at least")?;
        each_at_least_1("normalized_shape", shape)?;
        setting(self.eps >= 0.0 && self.eps.is_finite(), "eps", self.eps, "at least 0 and finite")
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let (shape, affine) = (&self.normalized_shape, self.elementwise_affine);
        let weight = variables.filled(affine, "weight", shape, 1.0)?;
        let bias = variables.filled(affine && self.bias, "bias", shape, 0.0)?;
        Ok(Box::new(Made { shape: shape.clone(), eps: self.eps, weight, bias }))
    }
}

#[derive(Debug)]
struct Made {
    shape: Vec<i64>,
    eps: f64,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        shape(input.size().ends_with(&self.shape), input, || {
            format!("must end with `normalized_shape` {:?}", self.shape)
        })?;
        floats(input)?;
        Ok(input.f_layer_norm(&self.shape, self.weight.as_ref(), self.bias.as_ref(), self.eps, true)?)
    }

    fn part(&self) -> Option<Part<'_>> {
        let is_over_the_last = self.shape.len() == 1;
        is_over_the_last.then_some(Part::LayerNorm {
            weight: self.weight.as_ref(),
            bias: self.bias.as_ref(),
            eps: self.eps,
        })
    }
}
