//! Layers one after the other, as data.
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::built::{Layer, Layers};
use super::define::{Compute, Define, Definition};
use super::fault::{Fault, Outcome};
use super::name::name_of;
use super::variables::Variables;
use crate::error::Result;

/// Typed layers one after the other, as data: what [`Residual`](super::Residual) takes, and what [`Sequential::build`] makes
/// [`Layers`] of.
///
/// Names are those of `torch.nn.Sequential(OrderedDict(...))`; [`Sequential::push`] gives numbers, as `torch.nn.Sequential(...)`
/// does. As JSON it is an object with a list of names and definitions.
///
/// ```
/// use catena_tensor::layers::{Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
/// use catena_tensor::model::Net;
/// use tch::{Device, nn};
///
/// let net = Sequential::new()
///     .add("conv1", Conv2d::new(1, 8, 3).padding(1))
///     .add("relu1", Relu)
///     .add("pool1", MaxPool2d::new(2))
///     .add("flatten", Flatten::new())
///     .add("fc", Linear::new(8 * 14 * 14, 10));
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = net.build(vs.root())?;
/// let names: Vec<&str> = layers.iter().flat_map(|layer| layer.variables()).map(|v| v.name.as_str()).collect();
/// assert_eq!(names, ["conv1.weight", "conv1.bias", "fc.weight", "fc.bias"]);
/// let model = Net::new(vs, layers);
///
/// let settings = serde_json::to_value(Sequential::new().push(Linear::new(4, 2)).push(Relu)).unwrap();
/// assert_eq!(settings["layers"][1], serde_json::json!(["1", {"name": "relu"}]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// Names and definitions, in order.
    layers: Vec<(String, Definition)>,
}

impl Sequential {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer of this name, without dots.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, definition: impl Into<Definition>) -> Self {
        self.layers.push((name.into(), definition.into()));
        self
    }

    /// Adds a layer whose name is its number, from 0.
    #[must_use]
    pub fn push(self, definition: impl Into<Definition>) -> Self {
        let number = self.layers.len().to_string();
        self.add(number, definition)
    }

    /// Names and definitions, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, Definition)> {
        self.layers.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Makes the layers under this path, drawing from torch's generator in the order in which PyTorch does: after the same
    /// [`manual_seed`](crate::rng::manual_seed) the parameters are PyTorch's, bit for bit. Settings that can't be, and names that
    /// are taken or have a dot, are errors that name the layer.
    pub fn build(&self, path: Path<'_>) -> Result<Layers> {
        let made = self.check().and_then(|()| self.layers_at(&path));
        made.map_err(|fault| fault.at(&name_of(&path), "Sequential"))
    }

    pub(super) fn layers_at(&self, path: &Path<'_>) -> Outcome<Layers> {
        let make = |layers: Layers, (name, definition): &(String, Definition)| {
            Ok(layers.push(Layer::make(&(path / name), definition.clone())?))
        };
        self.layers.iter().try_fold(Layers::new(), make)
    }
}

impl<'a> IntoIterator for &'a Sequential {
    type Item = &'a (String, Definition);
    type IntoIter = std::slice::Iter<'a, (String, Definition)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Define for Sequential {
    fn check(&self) -> Outcome<()> {
        for (at, (name, _)) in self.layers.iter().enumerate() {
            if name.is_empty() || name.contains('.') {
                let text = format!("`{name}` can't be a layer's name: it must not be empty or have a dot");
                return Err(Fault::Why(text));
            }
            if self.layers[..at].iter().any(|(other, _)| other == name) {
                return Err(Fault::Why(format!(
                    "two layers are named `{name}`; give each a name of its own"
                )));
            }
        }
        Ok(())
    }

    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>> {
        Ok(Box::new(self.layers_at(variables.path())?))
    }
}

impl Compute for Layers {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        self.compute(input, train)
    }

    fn inner(&self) -> Option<&Layers> {
        Some(self)
    }
}
