//! Layers: typed ones under torch's names, with torch's arguments, checks, initialisation and parameters' names; modules of tch
//! and closures beside them.
//!
//! A typed layer is data first, and is made at a path of a `VarStore`. All that can be wrong is an error that names the layer: its
//! settings where it is made, its input in the forward pass. [`Net::new`](crate::model::Net::new) makes a model of [`Layers`].
//!
//! ```
//! use catena_tensor::layers::{BatchNorm1d, Dropout, Linear, Relu, Sequential};
//! use catena_tensor::model::Net;
//! use tch::{Device, nn};
//!
//! let vs = nn::VarStore::new(Device::Cpu);
//! let layers = Sequential::new()
//!     .add("fc1", Linear::new(64, 128).bias(false))
//!     .add("norm", BatchNorm1d::new(128))
//!     .add("relu", Relu)
//!     .add("dropout", Dropout::new(0.2))
//!     .add("fc2", Linear::new(128, 10))
//!     .build(vs.root())?;
//! let net = Net::new(vs, layers);
//! # Ok::<(), catena_tensor::Error>(())
//! ```
//!
//! | layer | `torch.nn` |
//! |---|---|
//! | [`Linear`], [`Conv1d`], [`Conv2d`], [`Embedding`] | of the same name |
//! | [`BatchNorm1d`], [`BatchNorm2d`], [`InstanceNorm1d`], [`InstanceNorm2d`], [`LayerNorm`], [`GroupNorm`] | of the same name |
//! | [`Relu`], [`Gelu`], [`Tanh`], [`Sigmoid`], [`Softmax`], [`Dropout`] | `ReLU`, `GELU`, and of the same name |
//! | [`MaxPool2d`], [`AvgPool2d`], [`AdaptiveAvgPool2d`], [`Flatten`] | of the same name |
//! | [`MultiheadAttention`] | of the same name: self-attention, `batch_first`, without its weights |
//! | [`Sequential`] | of the same name |
//! | [`Residual`] | none: `x + inner(x)` |
//!
//! Weights go both ways: a snapshot's `model.safetensors` loads in PyTorch, and [`InitFrom`](crate::init::InitFrom) loads PyTorch's.
//! PyTorch's `num_batches_tracked` is there only where it is used, with `momentum` none.
//!
//! Layers tell the shapes of their outputs to whoever asks, typed ones and [`Named`] modules alike: see [`record()`].
mod activation;
mod attention;
mod batch_norm;
mod built;
mod conv;
mod define;
mod dropout;
mod embedding;
mod fault;
mod flatten;
mod frozen;
mod fused;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod linear;
mod module;
mod name;
mod padding;
mod pool;
mod record;
mod residual;
mod sequential;
mod sizes;
mod softmax;
#[cfg(test)]
mod tests;
mod variables;

pub use self::frozen::freeze_statistics;
pub use activation::{Approximate, Gelu, Relu, Sigmoid, Tanh};
pub use attention::MultiheadAttention;
pub use batch_norm::{BatchNorm1d, BatchNorm2d};
pub use built::{Layer, Layers};
pub use conv::{Conv1d, Conv2d};
pub use define::Definition;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use group_norm::GroupNorm;
pub use instance_norm::{InstanceNorm1d, InstanceNorm2d};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use module::Named;
pub use padding::{Padding, PaddingMode};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
pub use record::{LayerOutput, Recording, is_recording, record};
pub use residual::Residual;
pub use sequential::Sequential;
pub use sizes::{OutputSize, Pair, Shape};
pub use softmax::Softmax;
pub use variables::Variable;
