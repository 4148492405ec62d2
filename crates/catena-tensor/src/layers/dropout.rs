//! Dropout.
use catena_native::fused::Layer as FusedLayer;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::define::{Compute, Define};
use super::fault::{Outcome, setting};
use super::fused::Part;
use super::variables::Variables;

/// In training, sets each number to 0 with probability `p` and multiplies the others by `1 / (1 - p)`; else it does nothing.
///
/// It draws from torch's generator. Source: `torch.nn.Dropout`; the paper is <https://arxiv.org/abs/1207.0580>.
///
/// ```
/// use catena_tensor::layers::{Dropout, Layers};
/// use catena_tensor::model::Mode;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "drop", Dropout::new(0.5))?;
/// let ones = Tensor::from_slice(&[1.0, 1.0]);
/// assert_eq!(layers.forward(&ones, Mode::Eval)?, ones);
///
/// let error = Layers::new().layer(vs.root() / "drop", Dropout::new(1.5)).unwrap_err();
/// assert_eq!(error.to_string(), "layer `drop` (Dropout): `p` is 1.5, but must be in [0, 1]");
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dropout {
    /// The probability that a number becomes 0, from 0 to 1 (0.5 where it is left out).
    #[serde(default = "half")]
    pub p: f64,
}

fn half() -> f64 {
    0.5
}

impl Default for Dropout {
    fn default() -> Self {
        Self { p: half() }
    }
}

impl Dropout {
    /// With this probability, from 0 to 1. torch's default is 0.5.
    pub fn new(p: f64) -> Self {
        Self { p }
    }
}

pub(super) fn probability(name: &str, p: f64) -> Outcome<()> {
    setting((0.0..=1.0).contains(&p), name, p, "in [0, 1]")
}

impl Define for Dropout {
    fn check(&self) -> Outcome<()> {
        probability("p", self.p)
    }

    fn make(&self, _: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(*self))
    }
}

impl Compute for Dropout {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        Ok(input.f_dropout(self.p, train)?)
    }

    fn part(&self) -> Option<Part<'_>> {
        // of probability 1, libtorch draws nothing
        (self.p < 1.0).then_some(Part::Plain(FusedLayer::Dropout { p: self.p }))
    }
}
