//! Several of libtorch's operations as one autograd node: a run of layers, and the cross entropy of labels.
//!
//! Nothing is dispatched inside of a node, and only what the backward pass needs is kept. Each element gets the bits that libtorch's own operations give, because
//! the node calls the same kernels and the same matrix product, and dropout draws from torch's generator. A node has no second derivative.
use tch::Tensor;

use crate::error::{Error, Result, check};
use crate::ffi::{self, CRun, CTensor, RawLayer};
use crate::tensor::pointer;

/// A layer of a [`Run`]. Weights and biases are places among the run's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// `torch.nn.Linear`.
    Linear {
        /// `[out_features, in_features]`.
        weight: usize,
        /// `[out_features]`, if there is one.
        bias: Option<usize>,
    },
    /// `torch.nn.ReLU`.
    Relu,
    /// `torch.nn.GELU`.
    Gelu {
        /// Whether it is computed by tanh.
        tanh: bool,
    },
    /// `torch.nn.Tanh`.
    Tanh,
    /// `torch.nn.Sigmoid`.
    Sigmoid,
    /// `torch.nn.Dropout`.
    Dropout {
        /// The probability that a number becomes 0.
        p: f64,
    },
    /// `torch.nn.LayerNorm` over the last dimension.
    LayerNorm {
        /// Of the last dimension's size, if there is one.
        weight: Option<usize>,
        /// Of the last dimension's size, if there is one.
        bias: Option<usize>,
        /// What is added to the variance.
        eps: f64,
    },
}

/// Layers one after the other, as one node of autograd.
///
/// It holds its parameters as [`TensorList`](crate::TensorList) does: what steps them is seen here.
pub struct Run {
    raw: *mut CRun,
    layers: Vec<Layer>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.layers).finish()
    }
}

// SAFETY: the C++ side only holds `at::Tensor` handles, whose reference counts are atomic; `tch::Tensor` is `Send`
// for the same reason. Nothing here is shared between threads (`Run` is not `Sync`).
unsafe impl Send for Run {}

impl Drop for Run {
    fn drop(&mut self) {
        // SAFETY: made by `catena_run_new`, freed once.
        unsafe { ffi::catena_run_free(self.raw) }
    }
}

impl Run {
    /// A run of these layers with these parameters.
    ///
    /// # Errors
    ///
    /// If a layer names a parameter that there is not, or one is undefined.
    pub fn new(layers: &[Layer], params: &[&Tensor]) -> Result<Self> {
        if params.iter().any(|param| !param.defined()) {
            return Err(Error::Argument("an undefined tensor can't be a run's parameter".into()));
        }
        let place = |at: Option<usize>| match at {
            None => Ok(-1),
            Some(at) if at < params.len() => Ok(at as i32),
            Some(at) => {
                Err(Error::Argument(format!("a run of {} parameters has none of number {at}", params.len())))
            }
        };
        let raw = |layer: &Layer| {
            let plain = |kind: i32, number: f64| RawLayer { kind, weight: -1, bias: -1, dims: 0, number };
            Ok(match *layer {
                Layer::Linear { weight, bias } => {
                    RawLayer { weight: place(Some(weight))?, bias: place(bias)?, ..plain(0, 0.0) }
                }
                Layer::Relu => plain(1, 0.0),
                Layer::Gelu { tanh } => plain(if tanh { 3 } else { 2 }, 0.0),
                Layer::Tanh => plain(4, 0.0),
                Layer::Sigmoid => plain(5, 0.0),
                Layer::Dropout { p } => plain(6, p),
                Layer::LayerNorm { weight, bias, eps } => {
                    RawLayer { weight: place(weight)?, bias: place(bias)?, dims: 1, ..plain(7, eps) }
                }
            })
        };
        let raws = layers.iter().map(raw).collect::<Result<Vec<RawLayer>>>()?;
        let pointers: Vec<CTensor> = params.iter().map(|param| pointer(param)).collect();
        let mut made = std::ptr::null_mut();
        // SAFETY: both lists live, as long as is said; the shim copies the layers and the tensors' handles.
        check(unsafe {
            ffi::catena_run_new(raws.as_ptr(), raws.len(), pointers.as_ptr(), pointers.len(), &mut made)
        })?;
        Ok(Self { raw: made, layers: layers.to_vec() })
    }

    /// The layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The output for this input; none where libtorch's own operations have to be used: for an input or parameters that are not f32 or f64 in the CPU's memory,
    /// one element behind the other, for shapes that don't fit, for an empty input, and under autocast.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Option<Tensor>> {
        // SAFETY: `raw` is live, and so is the input; the shim reads both.
        maybe(|out| unsafe { ffi::catena_run_forward(self.raw, pointer(input), train.into(), out) })
    }
}

/// The mean cross entropy of logits `[n, classes]` and whole labels `[n]`, of which `ignored` counts for nothing; none where libtorch's own operations have to be
/// used, as for [`Run::forward`].
pub fn label_loss(logits: &Tensor, labels: &Tensor, ignored: i64) -> Result<Option<Tensor>> {
    // SAFETY: both are live tensors.
    maybe(|out| unsafe { ffi::catena_label_loss(pointer(logits), pointer(labels), ignored, out) })
}

/// Takes over the tensor that the shim hands out, if it does.
fn maybe(call: impl FnOnce(*mut CTensor) -> std::ffi::c_int) -> Result<Option<Tensor>> {
    let mut raw: CTensor = std::ptr::null_mut();
    check(call(&mut raw))?;
    // SAFETY: what is not null is a new handle, which nobody else holds.
    Ok((!raw.is_null()).then(|| unsafe { Tensor::from_ptr(raw.cast()) }))
}
