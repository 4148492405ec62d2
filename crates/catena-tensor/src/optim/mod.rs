//! Optimizers: libtorch's fused kernels, groups by name pattern, readable settings, state by parameter name.
//!
//! ```
//! use catena_tensor::optim::{AdamW, Optimizer, ParamGroup, Rule};
//! use catena_tensor::params::parameters;
//! use tch::{Device, Kind, Tensor, nn};
//!
//! let vs = nn::VarStore::new(Device::Cpu);
//! let fc = nn::linear(vs.root() / "fc", 4, 2, Default::default());
//! let config = AdamW::new(1e-3).group(ParamGroup::new("*.bias").set("weight_decay", 0.0));
//! let mut optimizer = Optimizer::new(config, &parameters(&vs))?;
//!
//! let loss = Tensor::ones([8, 4], (Kind::Float, Device::Cpu)).apply(&fc).sum(Kind::Float);
//! loss.f_backward()?;
//! optimizer.step()?;
//! optimizer.zero_grad()?;
//! assert_eq!(optimizer.steps(), 1);
//! assert_eq!(optimizer.lr(), 1e-3);
//! # Ok::<(), catena_tensor::Error>(())
//! ```
mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod asgd;
mod carry;
mod config;
mod distinct;
mod group;
mod lamb;
mod lion;
mod muon;
mod nadam;
mod names;
mod optimizer;
mod param_group;
mod radam;
mod rmsprop;
mod rprop;
mod rule;
mod sgd;
mod slot;
mod state_dict;
mod state_file;
mod usual;

pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use adamw::AdamW;
pub use asgd::Asgd;
pub use config::{names, registry, schema};
pub use group::Group;
pub use lamb::Lamb;
pub use lion::Lion;
pub use muon::{AdjustLr, Muon};
pub use nadam::NAdam;
pub use optimizer::Optimizer;
pub use param_group::ParamGroup;
pub use radam::RAdam;
pub use rmsprop::RMSprop;
pub use rprop::Rprop;
pub use rule::{OptimizerConfig, Rule, merged, to_value};
pub use sgd::Sgd;
pub use slot::Slot;
pub use state_dict::{GroupDict, StateDict};
