//! Softmax.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define};
use super::fault::{Outcome, floats, shape};
use super::variables::Variables;

/// `exp(x)` over its sum along one dimension. Source: `torch.nn.Softmax`, but the dimension has to be named.
///
/// [`CrossEntropy`](crate::loss::CrossEntropy) takes logits: a model that is trained with it has no softmax at its end.
///
/// ```
/// use catena_tensor::layers::{Layers, Softmax};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "softmax", Softmax::new(-1))?;
/// let output = layers.forward(&Tensor::from_slice(&[1.0, 1.0]), Mode::Eval)?;
/// assert_eq!(output, Tensor::from_slice(&[0.5, 0.5]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Softmax {
    /// The dimension along which the outputs sum to 1; negative ones count from the end.
    pub dim: i64,
}

impl Softmax {
    /// Along this dimension.
    pub fn new(dim: i64) -> Self {
        Self { dim }
    }
}

impl Define for Softmax {
    fn check(&self) -> Outcome<()> {
        Ok(())
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for Softmax {
    fn compute(&self, input: &Tensor, _: bool) -> Outcome<Tensor> {
        let dims = (input.dim() as i64).max(1);
        shape((-dims..dims).contains(&self.dim), input, || format!("`dim` is {}", self.dim))?;
        floats(input)?;
        Ok(input.f_softmax(self.dim, None)?)
    }
}
