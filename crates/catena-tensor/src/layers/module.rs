//! Modules of tch among the layers: their names, and what is looked at before they run.
use std::any::Any;
use std::fmt;

use tch::nn::{self, ModuleT, Path};
use tch::{Kind, Tensor};

use super::batch_norm::{ONE_VALUE, one_value_a_channel};
use super::built::{Layer, Layers, or_panic};
use super::define::Compute;
use super::embedding::wrong_index;
use super::fault::{Fault, Outcome, shape};
use super::group_norm::one_value_a_group;
use super::name::{kind_of, name_of};
use super::record::tell;
use crate::error::Result;
use crate::mode::Mode;
use crate::panics::caught;

/// A module of tch with a name. In a forward pass of your own it stands where the module would:
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
///
/// It looks at what tch's batch norm and group norm are given, as [`Layers::add`] does.
pub struct Named<M> {
    name: String,
    kind: String,
    module: Module<M>,
}

impl<M: ModuleT + 'static> Named<M> {
    /// The module that is made at this path, named as the path is.
    pub fn new(path: Path<'_>, module: impl FnOnce(Path<'_>) -> M) -> Self {
        Self { name: name_of(&path), kind: kind_of::<M>(), module: Module(module(path)) }
    }

    /// The output for this input; an error names the layer. A panic in the module is caught and is one too.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let output = self.module.compute(input, mode.is_train());
        let output = output.map_err(|fault| fault.at(&self.name, &self.kind))?;
        tell(&self.name, &self.kind, &output);
        Ok(output)
    }
}

impl<M> Named<M> {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module itself.
    pub fn module(&self) -> &M {
        &self.module.0
    }
}

impl<M: fmt::Debug> fmt::Debug for Named<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(&self.name).field(&self.module.0).finish()
    }
}

/// As [`Named::forward`], but tch has no way to return an error here, so it is a panic.
impl<M: ModuleT + 'static> ModuleT for Named<M> {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        or_panic(self.forward(xs, if train { Mode::Train } else { Mode::Eval }))
    }
}

impl Layers {
    /// Adds the module of tch that is made at this path.
    ///
    /// A batch norm or group norm of tch is refused what [`BatchNorm1d`](super::BatchNorm1d) and [`GroupNorm`](super::GroupNorm)
    /// refuse of one value a channel; what else such a module is given, libtorch judges.
    #[must_use]
    pub fn add<M: ModuleT + 'static>(self, path: Path<'_>, module: impl FnOnce(Path<'_>) -> M) -> Self {
        let name = name_of(&path);
        self.code(name, kind_of::<M>(), module(path))
    }

    /// Adds a closure, which has no parameters. A second one of a name is `name_2`.
    #[must_use]
    pub fn add_fn(mut self, name: impl Into<String>, f: impl Fn(&Tensor) -> Tensor + Send + 'static) -> Self {
        let name = self.unused(name.into());
        self.code(name, String::new(), nn::func(f))
    }

    /// As [`Layers::add_fn`], for a closure that is told whether the model is in training.
    #[must_use]
    pub fn add_fn_t(
        mut self,
        name: impl Into<String>,
        f: impl Fn(&Tensor, bool) -> Tensor + Send + 'static,
    ) -> Self {
        let name = self.unused(name.into());
        self.code(name, String::new(), nn::func_t(f))
    }

    fn code(self, name: String, kind: String, module: impl ModuleT + 'static) -> Self {
        let compute = Box::new(Module(module));
        self.push(Layer { name, kind, definition: None, variables: Vec::new(), compute })
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
}

/// A module of tch as a layer.
#[derive(Debug)]
struct Module<M>(M);

impl<M: ModuleT + 'static> Compute for Module<M> {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor> {
        if let Some(layers) = self.inner() {
            return layers.compute(input, train);
        }
        look(&self.0, input, train)?;
        // tch's modules panic where libtorch returns an error
        let output = caught(|| self.0.forward_t(input, train));
        output.map_err(|message| explain(&self.0, input, &message))
    }

    fn inner(&self) -> Option<&Layers> {
        (&self.0 as &dyn Any).downcast_ref()
    }
}

/// What PyTorch looks at in Python, and libtorch does not, before modules that tch has too.
fn look(module: &dyn Any, input: &Tensor, train: bool) -> Outcome<()> {
    if module.is::<nn::BatchNorm>() {
        shape(!train || !one_value_a_channel(&input.size()), input, || ONE_VALUE.into())?;
    }
    if let Some(norm) = module.downcast_ref::<nn::GroupNorm>() {
        one_value_a_group(norm.num_groups, input)?;
    }
    Ok(())
}

/// Why a module failed.
fn explain(module: &dyn Any, input: &Tensor, panic: &str) -> Fault {
    if let Some(why) = module.downcast_ref::<nn::Embedding>().and_then(|e| wrong_index(input, e.ws.size()[0]))
    {
        return Fault::Why(why);
    }
    let kind = input.f_kind().unwrap_or(Kind::Float);
    Fault::Why(format!("an input of shape {:?} and dtype {kind:?} ended in: {panic}", input.size()))
}
