//! Group normalization.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, at_least_1, floats, setting, shape};
use super::variables::Variables;

/// Normalizes each sample of `[n, num_channels, …]` over groups of its channels; training makes no difference.
///
/// Parameters: `weight` (ones) and `bias` (zeros), both `[num_channels]`. Source: `torch.nn.GroupNorm`; the paper is
/// <https://arxiv.org/abs/1803.08494>.
///
/// ```
/// use catena_tensor::layers::{GroupNorm, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "norm", GroupNorm::new(2, 6))?;
/// let images = Tensor::zeros([1, 6, 8, 8], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&images, Mode::Train)?.size(), [1, 6, 8, 8]);
///
/// let error = Layers::new().layer(vs.root() / "other", GroupNorm::new(4, 6)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `other` (GroupNorm): `num_groups` is 4, but must be a divisor of `num_channels` (6)",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupNorm {
    /// How many groups there are.
    pub num_groups: i64,
    /// How many channels the input has.
    pub num_channels: i64,
    /// What is added to the variance, at least 0 (default 1e-5).
    #[serde(default = "default::eps")]
    pub eps: f64,
    /// Whether there are a weight and a bias (default yes).
    #[serde(default = "default::yes")]
    pub affine: bool,
    /// Whether there is a bias where there is a weight (default yes).
    #[serde(default = "default::yes")]
    pub bias: bool,
}

impl GroupNorm {
    /// With a weight and a bias.
    pub fn new(num_groups: i64, num_channels: i64) -> Self {
        Self { num_groups, num_channels, eps: default::eps(), affine: true, bias: true }
    }

    /// What is added to the variance, at least 0 (default 1e-5).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Whether there are a weight and a bias (default yes).
    #[must_use]
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Whether there is a bias where there is a weight (default yes).
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Define for GroupNorm {
    fn check(&self) -> Outcome<()> {
        at_least_1("num_groups", self.num_groups)?;
        at_least_1("num_channels", self.num_channels)?;
        let divides = self.num_channels % self.num_groups == 0;
        let allowed = format!("a divisor of `num_channels` ({})", self.num_channels);
        setting(divides, "num_groups", self.num_groups, allowed)?;
        setting(self.eps >= 0.0 && self.eps.is_finite(), "eps", self.eps, "at least 0 and finite")
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        let size = [self.num_channels];
        let weight = variables.filled(self.affine, "weight", &size, 1.0)?;
        let bias = variables.filled(self.affine && self.bias, "bias", &size, 0.0)?;
        Ok(Box::new(Made { definition: self.clone(), weight, bias }))
    }
}

#[derive(Debug)]
struct Made {
    definition: GroupNorm,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
}

/// Whether a group has more than one value; torch asks this in Python, over the whole batch as here.
pub(super) fn one_value_a_group(num_groups: i64, input: &Tensor) -> Outcome<()> {
    let size = input.size();
    let is_one = size.len() >= 2 && size[0] * size[1] / num_groups * size[2..].iter().product::<i64>() == 1;
    shape(!is_one, input, || {
        format!(
            "more than one value a group is needed, to take a variance of, with `num_groups` {num_groups}"
        )
    })
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        let GroupNorm { num_groups, num_channels, eps, .. } = self.definition;
        let size = input.size();
        shape(size.len() >= 2, input, || "must be [n, channels, …]".into())?;
        shape(size[1] == num_channels, input, || {
            format!("its channels (dimension 1) must be `num_channels` ({num_channels})")
        })?;
        floats(input)?;
        one_value_a_group(num_groups, input)?;
        Ok(input.f_group_norm(num_groups, self.weight.as_ref(), self.bias.as_ref(), eps, true)?)
    }
}
