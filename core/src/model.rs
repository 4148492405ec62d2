//! What a model is: a forward pass from a batch to outputs, and the variables behind it.
use tch::nn::{ModuleT, VarStore};

use crate::Result;
use crate::batch::{Batch, INPUT, OUTPUT, Outputs};

/// What a loader's batches are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Gradients are computed and the optimizer steps.
    Train,
    /// The loss is computed, without gradients.
    Eval,
    /// Only outputs are computed, without gradients.
    Infer,
}

impl Mode {
    /// Whether this is [`Mode::Train`]: what tch calls `train`.
    pub fn is_train(self) -> bool {
        self == Self::Train
    }
}

/// A forward pass and its variables.
///
/// Any tch module is a model through [`Net::new`], any closure through [`Net::from_fn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    note = "a tch module becomes a model with `Net::new(var_store, module)`, a closure with `Net::from_fn(var_store, closure)`"
)]
pub trait Model {
    /// Computes the outputs of a batch. Dropout and the like act in [`Mode::Train`] only.
    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<Outputs>;

    /// The variables: parameters and buffers by name.
    fn var_store(&self) -> &VarStore;
}

type Forward = Box<dyn FnMut(&Batch, Mode) -> Result<Outputs>>;

/// A model made of a [`VarStore`] and a tch module or a closure.
///
/// ```
/// use catena_tensor::batch::Batch;
/// use catena_tensor::model::{Mode, Model, Net};
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layers = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let mut net = Net::new(vs, layers);
/// let batch = Batch::new([("input", Tensor::zeros([8, 4], (Kind::Float, Device::Cpu)))]);
/// let outputs = net.forward(&batch, Mode::Eval)?;
/// assert_eq!(outputs.get("output")?.size(), [8, 2]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub struct Net {
    vs: VarStore,
    forward: Forward,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("vs", &self.vs).finish_non_exhaustive()
    }
}

impl Net {
    /// A model that feeds the batch's `input` to a module (every [`tch::nn::Module`] is a `ModuleT` too) and returns `output`.
    pub fn new(vs: VarStore, module: impl ModuleT + 'static) -> Self {
        Self::from_fn(vs, move |batch, mode| Ok(module.forward_t(batch.get(INPUT)?, mode.is_train()).into()))
    }

    /// As [`Net::new`], with other names for the input and the output.
    pub fn with_names(
        vs: VarStore,
        module: impl ModuleT + 'static,
        input: &'static str,
        output: &'static str,
    ) -> Self {
        Self::from_fn(vs, move |batch, mode| {
            Ok(Outputs::from([(output, module.forward_t(batch.get(input)?, mode.is_train()))]))
        })
    }

    /// A model whose forward pass is a closure: several inputs, several outputs, other losses.
    pub fn from_fn(vs: VarStore, forward: impl FnMut(&Batch, Mode) -> Result<Outputs> + 'static) -> Self {
        Self { vs, forward: Box::new(forward) }
    }

    /// The name of the output that [`Net::new`] sets.
    pub const OUTPUT: &'static str = OUTPUT;
}

impl Model for Net {
    fn forward(&mut self, batch: &Batch, mode: Mode) -> Result<Outputs> {
        (self.forward)(batch, mode)
    }

    fn var_store(&self) -> &VarStore {
        &self.vs
    }
}
