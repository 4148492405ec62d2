//! What a model is: a forward pass from a batch to outputs, and the variables behind it.
use std::any::Any;

use tch::nn::{ModuleT, VarStore};

use crate::batch::{Batch, INPUT, OUTPUT, Outputs};
use crate::error::{BoxError, Result};
use crate::layers::Layers;

pub use crate::mode::Mode;

/// A forward pass and its variables.
///
/// [`Layers`] and any tch module are a model through [`Net::new`], any closure through [`Net::from_fn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    note = "a tch module becomes a model with `Net::new(var_store, module)`, a closure with `Net::from_fn(var_store, closure)`"
)]
pub trait Model {
    /// Computes the outputs of a batch. Dropout and the like act in [`Mode::Train`] only.
    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<Outputs, BoxError>;

    /// The variables: parameters and buffers by name.
    fn var_store(&self) -> &VarStore;
}

/// A model made of a [`VarStore`] and [`Layers`], a tch module, or a closure.
///
/// ```
/// use catena_tensor::batch::Batch;
/// use catena_tensor::layers::{Linear, Sequential};
/// use catena_tensor::model::{Mode, Model, Net};
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = Sequential::new().add("fc", Linear::new(4, 2)).build(vs.root())?;
/// let mut net = Net::new(vs, layers);
/// let batch = Batch::new([("input", Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)))]);
/// let outputs = net.forward(&batch, Mode::Eval)?;
/// assert_eq!(outputs.get("output")?.size(), [8, 2]);
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let of_tch = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let outputs = Net::new(vs, of_tch).forward(&batch, Mode::Eval)?;
/// assert_eq!(outputs.get("output")?.size(), [8, 2]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub struct Net {
    vs: VarStore,
    forward: Forward,
}

type Closure = Box<dyn FnMut(&Batch, Mode) -> Result<Outputs, BoxError>>;

enum Forward {
    Layers { layers: Layers, input: &'static str, output: &'static str },
    Closure(Closure),
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("vs", &self.vs).finish_non_exhaustive()
    }
}

impl Net {
    /// A model that feeds the batch's `input` to a module (every [`tch::nn::Module`] is a `ModuleT` too) and returns `output`.
    ///
    /// What is wrong with the input of [`Layers`] is an error that names the layer. Other modules of tch panic where libtorch
    /// returns an error; a runner catches that.
    pub fn new(vs: VarStore, module: impl ModuleT + 'static) -> Self {
        Self::with_names(vs, module, INPUT, OUTPUT)
    }

    /// As [`Net::new`], with other names for the input and the output.
    pub fn with_names(
        vs: VarStore,
        module: impl ModuleT + 'static,
        input: &'static str,
        output: &'static str,
    ) -> Self {
        let mut module = Some(module);
        // not through `ModuleT`, which has no errors
        if let Some(layers) = (&mut module as &mut dyn Any).downcast_mut::<Option<Layers>>()
            && let Some(layers) = layers.take()
        {
            return Self { vs, forward: Forward::Layers { layers, input, output } };
        }
        Self::from_fn(vs, move |batch, mode| {
            let input = batch.get(input)?;
            let module = module.as_ref();
            let given = module.map_or_else(|| input.shallow_clone(), |m| m.forward_t(input, mode.is_train()));
            Ok(Outputs::from([(output, given)]))
        })
    }

    /// A model whose forward pass is a closure: several inputs, several outputs, other losses.
    pub fn from_fn(
        vs: VarStore,
        forward: impl FnMut(&Batch, Mode) -> Result<Outputs, BoxError> + 'static,
    ) -> Self {
        Self { vs, forward: Forward::Closure(Box::new(forward)) }
    }

    /// The layers, if it was made of [`Layers`].
    pub fn layers(&self) -> Option<&Layers> {
        match &self.forward {
            Forward::Layers { layers, .. } => Some(layers),
            Forward::Closure(_) => None,
        }
    }

    /// The name of the output that [`Net::new`] sets.
    pub const OUTPUT: &'static str = OUTPUT;
}

impl Model for Net {
    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<Outputs, BoxError> {
        match &mut self.forward {
            Forward::Layers { layers, input, output } => {
                Ok(Outputs::from([(*output, layers.forward(batch.get(input)?, mode)?)]))
            }
            Forward::Closure(forward) => forward(batch, mode),
        }
    }

    fn var_store(&self) -> &VarStore {
        &self.vs
    }
}
