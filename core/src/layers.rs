//! Layers with names, which tell the shapes of their outputs to whoever asks.
use std::cell::RefCell;
use std::fmt;

use tch::nn::{self, ModuleT, Path};
use tch::{Kind, Tensor};

/// Modules one after the other, each with its name: `nn::seq_t()` whose layers can be seen.
///
/// A layer's name is its path in the `VarStore`, so a table of the model can join outputs and parameters.
///
/// ```
/// use catena_tensor::layers::{Layers, record};
/// use catena_tensor::model::Net;
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Layers::new()
///     .add(vs.root() / "conv", |p| nn::conv2d(p, 1, 8, 3, Default::default()))
///     .add_fn("relu", Tensor::relu)
///     .add_fn("flat", |x| x.flat_view())
///     .add(vs.root() / "fc", |p| nn::linear(p, 8 * 26 * 26, 10, Default::default()));
///
/// let x = Tensor::zeros([2, 1, 28, 28], (Kind::Float, Device::Cpu));
/// let (_, outputs) = record(|| layers.forward_t(&x, false));
/// assert_eq!((outputs[0].layer.as_str(), outputs[0].shape.as_slice()), ("conv", &[2, 8, 26, 26][..]));
/// assert_eq!((outputs[3].kind.as_str(), outputs[3].shape.as_slice()), ("Linear", &[2, 10][..]));
/// let _net = Net::new(vs, layers);
/// ```
#[derive(Debug, Default)]
pub struct Layers {
    layers: Vec<Box<dyn ModuleT>>,
    closures: Vec<String>,
}

/// A module with a name. In a forward pass of your own it stands where the module would:
///
/// ```
/// use catena_tensor::layers::{Named, record};
/// use tch::nn::ModuleT;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let fc = Named::new(vs.root() / "head" / "fc", |p| nn::linear(p, 4, 3, Default::default()));
/// let x = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
/// let (y, outputs) = record(|| fc.forward_t(&x, true).relu());
/// assert_eq!(y.size(), outputs[0].shape);
/// assert_eq!(outputs[0].layer, "head.fc");
/// ```
pub struct Named<M> {
    name: String,
    kind: String,
    module: M,
}

/// What a layer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutput {
    /// The layer's name.
    pub layer: String,
    /// The module's type, such as `Linear`; empty for a closure.
    pub kind: String,
    /// The output's shape, the batch's size included.
    pub shape: Vec<i64>,
    /// The output's dtype.
    pub dtype: Kind,
}

impl Layers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the module that is made at this path.
    #[must_use]
    pub fn add<M: ModuleT + 'static>(self, path: Path<'_>, module: impl FnOnce(Path<'_>) -> M) -> Self {
        self.push(Named::new(path, module))
    }

    /// Adds a closure, which has no parameters. A second one of a name is `name_2`.
    #[must_use]
    pub fn add_fn(mut self, name: impl Into<String>, f: impl Fn(&Tensor) -> Tensor + Send + 'static) -> Self {
        let name = self.unused(name.into());
        self.push(Named { name, kind: String::new(), module: nn::func(f) })
    }

    /// As [`Layers::add_fn`], for a closure that is told whether the model is in training, such as dropout.
    #[must_use]
    pub fn add_fn_t(
        mut self,
        name: impl Into<String>,
        f: impl Fn(&Tensor, bool) -> Tensor + Send + 'static,
    ) -> Self {
        let name = self.unused(name.into());
        self.push(Named { name, kind: String::new(), module: nn::func_t(f) })
    }

    fn unused(&mut self, name: String) -> String {
        let is_used = |name: &String| self.closures.contains(name);
        let unused = match is_used(&name) {
            true => (2..).map(|n| format!("{name}_{n}")).find(|name| !is_used(name)).unwrap_or(name),
            false => name,
        };
        self.closures.push(unused.clone());
        unused
    }

    fn push(mut self, layer: impl ModuleT + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl<M: ModuleT> Named<M> {
    /// The module that is made at this path, named as the path is.
    pub fn new(path: Path<'_>, module: impl FnOnce(Path<'_>) -> M) -> Self {
        let name = path.components().collect::<Vec<_>>().join(".");
        Self { name, kind: short_name(std::any::type_name::<M>()), module: module(path) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module itself.
    pub fn module(&self) -> &M {
        &self.module
    }
}

/// `Linear` of `tch::nn::linear::Linear`, `Conv` of `tch::nn::conv::Conv<[i64; 2]>`.
fn short_name(type_name: &str) -> String {
    let whole = type_name.split('<').next().unwrap_or_default();
    whole.rsplit("::").next().unwrap_or_default().to_owned()
}

impl<M: fmt::Debug> fmt::Debug for Named<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(&self.name).field(&self.module).finish()
    }
}

impl<M: ModuleT> ModuleT for Named<M> {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let output = self.module.forward_t(xs, train);
        RECORDED.with_borrow_mut(|recorded| {
            // it costs a look where nobody asks
            if let Some(recorded) = recorded {
                recorded.push(LayerOutput {
                    layer: self.name.clone(),
                    kind: self.kind.clone(),
                    shape: output.size(),
                    dtype: output.kind(),
                });
            }
        });
        output
    }
}

impl ModuleT for Layers {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.layers.iter().fold(xs.shallow_clone(), |xs, layer| layer.forward_t(&xs, train))
    }
}

thread_local! {
    /// What this thread's layers gave since somebody asked.
    static RECORDED: RefCell<Option<Vec<LayerOutput>>> = const { RefCell::new(None) };
}

/// While it lives, the layers of this thread tell what they give. One within another has its layers to itself.
#[derive(Debug)]
#[must_use = "it ends when dropped"]
pub struct Recording {
    before: Option<Vec<LayerOutput>>,
    // it is of the thread that began it
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Recording {
    /// From here on.
    pub fn start() -> Self {
        Self { before: RECORDED.replace(Some(Vec::new())), _not_send: std::marker::PhantomData }
    }

    /// What the layers gave, in the order in which they ended.
    pub fn outputs(self) -> Vec<LayerOutput> {
        RECORDED.replace(None).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDED.set(self.before.take());
    }
}

/// Whether there is a [`Recording`] on this thread.
pub fn is_recording() -> bool {
    RECORDED.with_borrow(Option::is_some)
}

/// What the named layers gave while `forward` ran, in the order in which they ended.
pub fn record<T>(forward: impl FnOnce() -> T) -> (T, Vec<LayerOutput>) {
    let recording = Recording::start();
    let result = forward();
    (result, recording.outputs())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn ones(shape: &[i64]) -> Tensor {
        Tensor::ones(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn named_layers_compute_what_a_sequence_of_tch_computes() {
        let vs = nn::VarStore::new(Device::Cpu);
        let layers = Layers::new()
            .add(vs.root() / "fc", |p| nn::linear(p, 3, 4, Default::default()))
            .add_fn("relu", Tensor::relu)
            .add_fn_t("half", |x, train| if train { x * 0.5 } else { x.shallow_clone() });
        let variables = vs.variables();
        let (weight, bias) = (&variables["fc.weight"], &variables["fc.bias"]);
        let relu = ones(&[2, 3]).linear(weight, Some(bias)).relu();
        for (train, expected) in [(true, &relu * 0.5), (false, relu)] {
            let x = layers.forward_t(&ones(&[2, 3]), train);
            assert_eq!(x, expected);
        }
        assert_eq!(Layers::new().forward_t(&ones(&[2]), true), ones(&[2]));
    }

    #[test]
    fn nothing_is_kept_where_nobody_asks() {
        let layers = Layers::new().add_fn("same", Tensor::shallow_clone);
        let _ = layers.forward_t(&ones(&[1]), true);
        assert!(!is_recording());
        let (_, outputs) = record(|| layers.forward_t(&ones(&[1]), true));
        assert_eq!(outputs.len(), 1);
        let _ = layers.forward_t(&ones(&[1]), true);
        assert!(!is_recording(), "the recording has ended");
    }

    #[test]
    fn a_recording_ends_with_a_panic_too_and_one_within_another_has_its_own() {
        let layers = Layers::new().add_fn("same", Tensor::shallow_clone);
        let forward = || layers.forward_t(&ones(&[1]), true);
        let panics = || record(|| forward().view([7]));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(!is_recording(), "the recording has ended");
        let (inner, outer) = record(|| {
            let _first = forward();
            let (_, inner) = record(forward);
            let _last = forward();
            inner
        });
        assert_eq!((inner.len(), outer.len()), (1, 2));
    }

    #[test]
    fn closures_of_one_name_are_numbered() {
        let relu = |layers: Layers| layers.add_fn("relu", Tensor::relu);
        let (_, outputs) = record(|| relu(relu(relu(Layers::new()))).forward_t(&ones(&[1]), true));
        assert_eq!(
            outputs.iter().map(|o| o.layer.as_str()).collect::<Vec<_>>(),
            ["relu", "relu_2", "relu_3"]
        );
    }

    #[test]
    fn a_layer_in_a_layer_is_told_before_it() {
        let vs = nn::VarStore::new(Device::Cpu);
        let block = |p: Path<'_>| {
            Layers::new()
                .add(&p / "fc", |p| nn::linear(p, 3, 5, Default::default()))
                .add_fn("act", Tensor::tanh)
        };
        let model = Layers::new().add(vs.root() / "block", block);
        let (_, outputs) = record(|| model.forward_t(&ones(&[2, 3]), true));
        let seen: Vec<(&str, &str)> = outputs.iter().map(|o| (o.layer.as_str(), o.kind.as_str())).collect();
        assert_eq!(seen, [("block.fc", "Linear"), ("act", ""), ("block", "Layers")]);
    }
}
