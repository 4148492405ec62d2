//! A way around layers.
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::built::Layers;
use super::define::{Compute, Define};
use super::fault::Outcome;
use super::sequential::Sequential;
use super::variables::Variables;

/// `x + inner(x)`: the input is added to what the layers within make of it, in the same shape.
///
/// The layers within have their names right under this one's, as in a subclass of `torch.nn.Sequential` whose `forward` is
/// `x + super().forward(x)`. The paper is <https://arxiv.org/abs/1512.03385>.
///
/// ```
/// use catena_tensor::layers::{Layers, Linear, Relu, Residual, Sequential};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let inner = Sequential::new().add("fc", Linear::new(4, 4)).add("relu", Relu);
/// let layers = Layers::new().layer(vs.root() / "block", Residual::new(inner))?;
/// assert_eq!(layers.get("block.fc").unwrap().kind(), "Linear");
/// let output = layers.forward(&Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)), Mode::Eval)?;
/// assert_eq!(output.size(), [8, 4]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Residual {
    /// The layers within.
    pub inner: Sequential,
}

impl Residual {
    /// Around these layers.
    pub fn new(inner: Sequential) -> Self {
        Self { inner }
    }
}

impl Define for Residual {
    fn check(&self) -> Outcome<()> {
        self.inner.check()
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(Made { inner: self.inner.layers_at(variables.path())? }))
    }
}

#[derive(Debug)]
struct Made {
    inner: Layers,
}

impl Compute for Made {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        let output = self.inner.compute(input, train)?;
        if output.size() != input.size() {
            // torch would broadcast, which is hardly ever meant
            let (from, to) = (input.size(), output.size());
            let text = format!(
                "the layers within make shape {to:?} of {from:?}, but must keep it, so that the two can be added"
            );
            return Err(text.into());
        }
        Ok(input.f_add(&output)?)
    }

    fn inner(&self) -> Option<&Layers> {
        Some(&self.inner)
    }
}
