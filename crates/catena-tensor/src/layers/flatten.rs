//! Several dimensions as one.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define, default};
use super::fault::{Outcome, setting, shape};
use super::variables::Variables;

/// Makes one dimension of several, by default of all but the first. Source: `torch.nn.Flatten`.
///
/// ```
/// use catena_tensor::layers::{Flatten, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "flatten", Flatten::new())?;
/// let images = Tensor::zeros([2, 3, 4, 5], (Kind::Float, Device::Cpu));
/// assert_eq!(layers.forward(&images, Mode::Eval)?.size(), [2, 60]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Flatten {
    /// The first of the dimensions (default 1).
    #[serde(default = "default::one")]
    pub start_dim: i64,
    /// The last of them (default -1, the last one of all).
    #[serde(default = "last")]
    pub end_dim: i64,
}

fn last() -> i64 {
    -1
}

impl Default for Flatten {
    fn default() -> Self {
        Self { start_dim: default::one(), end_dim: last() }
    }
}

impl Flatten {
    /// Of all dimensions but the first.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first of the dimensions (default 1).
    #[must_use]
    pub fn start_dim(mut self, start_dim: i64) -> Self {
        self.start_dim = start_dim;
        self
    }

    /// The last of them (default -1); negative ones count from the end.
    #[must_use]
    pub fn end_dim(mut self, end_dim: i64) -> Self {
        self.end_dim = end_dim;
        self
    }
}

impl Define for Flatten {
    fn check(&self) -> Outcome<()> {
        let Self { start_dim, end_dim } = *self;
        let is_ordered = start_dim <= end_dim || (start_dim >= 0) != (end_dim >= 0);
        setting(is_ordered, "start_dim", start_dim, format!("at most `end_dim` ({end_dim})"))
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for Flatten {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        let Self { start_dim, end_dim } = *self;
        let dims = (input.dim() as i64).max(1);
        let from_0 = |dim: i64| if dim < 0 { dim + dims } else { dim };
        let fits = (0..=from_0(end_dim)).contains(&from_0(start_dim)) && from_0(end_dim) < dims;
        shape(fits, input, || format!("`start_dim` is {start_dim} and `end_dim` is {end_dim}"))?;
        Ok(input.f_flatten(start_dim, end_dim)?)
    }
}
