//! Layers that have been made, one after the other: the forward pass, and what they are.
use std::cell::OnceCell;

use serde_json::Value;
use tch::Tensor;
use tch::nn::{ModuleT, Path};

use super::define::{Compute, Definition};
use super::fault::{Fault, Outcome};
use super::fused::Plan;
use super::name::name_of;
use super::record::{is_recording, tell};
use super::variables::{Variable, Variables};
use crate::error::Result;
use crate::fusing;
use crate::mode::Mode;
use crate::settings;

/// Layers one after the other, each with its name: `torch.nn.Sequential`, or `nn::seq_t()` whose layers can be seen.
///
/// [`Layers::layer`] makes a typed layer, [`Sequential::build`](super::Sequential::build) several at once, [`Layers::add`] takes a
/// module of tch and [`Layers::add_fn`] a closure. Typed layers one after the other are computed as one autograd node where that can be ([`fusing`]). A layer's name is its path in the `VarStore`, so a table of the model can join
/// outputs and parameters.
///
/// ```
/// use catena_tensor::batch::Batch;
/// use catena_tensor::layers::{Conv2d, Flatten, Layers, Linear, record};
/// use catena_tensor::model::{Mode, Model, Net};
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new()
///     .layer(vs.root() / "conv", Conv2d::new(1, 8, 3))?
///     .add_fn("relu", Tensor::relu)
///     .layer(vs.root() / "flatten", Flatten::new())?
///     .add(vs.root() / "fc", |p| nn::linear(p, 8 * 26 * 26, 10, Default::default()));
///
/// let x = Tensor::zeros([2, 1, 28, 28], (Kind::Float, Device::Cpu));
/// let (y, outputs) = record(|| layers.forward(&x, Mode::Eval));
/// assert_eq!(y?.size(), [2, 10]);
/// assert_eq!((outputs[0].layer.as_str(), outputs[0].shape.as_slice()), ("conv", &[2, 8, 26, 26][..]));
/// assert_eq!((outputs[3].kind.as_str(), outputs[3].shape.as_slice()), ("Linear", &[2, 10][..]));
///
/// let mut net = Net::new(vs, layers);
/// let error = net.forward(&Batch::new([("input", x.reshape([2, 28, 28]))]), Mode::Eval).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "layer `conv` (Conv2d): the input has shape [2, 28, 28], but its channels (dimension 0) must be `in_channels` (1)",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Layers {
    layers: Vec<Layer>,
    /// Which of them are computed as one; found at the first forward pass.
    plan: OnceCell<Plan>,
    pub(super) closures: Vec<String>,
}

/// A layer that has been made: its name, what it is, its tensors, its forward pass.
///
/// ```
/// use catena_tensor::layers::{BatchNorm1d, Layers};
/// use serde_json::json;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new().layer(vs.root() / "bn", BatchNorm1d::new(4).affine(false))?;
/// let layer = layers.get("bn").unwrap();
/// assert_eq!((layer.kind(), &layer.settings()["num_features"]), ("BatchNorm1d", &json!(4)));
/// let names: Vec<&str> = layer.variables().into_iter().map(|variable| variable.name.as_str()).collect();
/// assert_eq!(names, ["bn.running_mean", "bn.running_var"]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Layer {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) definition: Option<Definition>,
    pub(super) variables: Vec<Variable>,
    pub(super) compute: Box<dyn Compute>,
}

impl Layers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a typed layer at this path. Settings that can't be, a name that is taken, and a path that has such tensors already
    /// are errors that name the layer.
    pub fn layer(self, path: Path<'_>, definition: impl Into<Definition>) -> Result<Self> {
        let (definition, name) = (definition.into(), name_of(&path));
        if self.get(&name).is_some() {
            let text = "another layer has this name already".to_owned();
            return Err(Fault::Why(text).at(&name, definition.kind()));
        }
        Ok(self.push(Layer::make(&path, definition)?))
    }

    /// The output for this input. An error names the layer, the shape that came and what was expected; so does a panic in a module
    /// of tch or a closure, which is caught here.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        // each layer tells what it gave, and whoever looks at one looks at it alone
        let is_fused = fusing::is_on() && !is_recording();
        let plan =
            || self.plan.get_or_init(|| Plan::of(self.layers.iter().map(|layer| layer.compute.as_ref())));
        let (mut output, mut at) = (input.shallow_clone(), 0);
        while let Some(layer) = self.layers.get(at) {
            let run = if is_fused { plan().at(at) } else { None };
            // what went wrong in a run is told by the layer in which it does
            let fused = run.and_then(|(run, end)| Some((run.forward(&output, mode.is_train()).ok()??, end)));
            (output, at) = match fused {
                Some(computed) => computed,
                None => (layer.forward(&output, mode)?, at + 1),
            };
        }
        Ok(output)
    }

    /// The layers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Layer> {
        self.layers.iter()
    }

    /// How many there are; those within others count as one.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layer of this name, those within others included.
    pub fn get(&self, name: &str) -> Option<&Layer> {
        let own = self.layers.iter().find(|layer| layer.name == name);
        own.or_else(|| self.layers.iter().find_map(|layer| layer.inner()?.get(name)))
    }

    pub(super) fn push(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self.plan = OnceCell::new();
        self
    }

    pub(super) fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        Ok(self.forward(input, if train { Mode::Train } else { Mode::Eval })?)
    }
}

impl<'a> IntoIterator for &'a Layers {
    type Item = &'a Layer;
    type IntoIter = std::slice::Iter<'a, Layer>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// For a model that is put together with tch: it has no way to return an error, so what [`Layers::forward`] returns as one is a panic.
impl ModuleT for Layers {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        or_panic(self.forward(xs, if train { Mode::Train } else { Mode::Eval }))
    }
}

/// tch's `forward_t` has no other way to tell.
pub(super) fn or_panic(output: Result<Tensor>) -> Tensor {
    match output {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

impl Layer {
    pub(super) fn make(path: &Path<'_>, definition: Definition) -> Result<Self> {
        let (name, kind) = (name_of(path), definition.kind());
        let mut variables = Variables::at(path);
        let define = definition.define();
        let made = define.check().and_then(|()| define.make(&mut variables));
        let compute = made.map_err(|fault| fault.at(&name, kind))?;
        Ok(Self {
            name,
            kind: kind.to_owned(),
            variables: variables.made,
            definition: Some(definition),
            compute,
        })
    }

    /// Its path in the `VarStore`; a closure's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// torch's class of a typed layer, the type of a module of tch, such as `Linear`; empty for a closure.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What a typed layer was made from; none for a module of tch or a closure.
    pub fn definition(&self) -> Option<&Definition> {
        self.definition.as_ref()
    }

    /// The definition as JSON; null for a module of tch or a closure.
    pub fn settings(&self) -> Value {
        self.definition.as_ref().map_or(Value::Null, settings::to_value)
    }

    /// Parameters and buffers of a typed layer in torch's order, those of layers within included. Those of a module of tch are not
    /// known here: they are what the `VarStore` has under the layer's name.
    pub fn variables(&self) -> Vec<&Variable> {
        let within = self.inner().into_iter().flatten().flat_map(Self::variables);
        self.variables.iter().chain(within).collect()
    }

    /// The layers that it is made of.
    pub fn inner(&self) -> Option<&Layers> {
        self.compute.inner()
    }

    /// The layer's output for this input, or an error that names it.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let output = self.compute.compute(input, mode.is_train());
        let output = output.map_err(|fault| fault.at(&self.name, &self.kind))?;
        tell(&self.name, &self.kind, &output);
        Ok(output)
    }
}
