//! Adam with decoupled weight decay.
use catena_native::TensorList;
use catena_native::rules::{AdamArguments, adam};
use serde::{Deserialize, Serialize};

use super::adam::slots;
use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019). Source: `torch.optim.AdamW`, in libtorch's fused kernel.
///
/// Defaults are torch's: as [`Adam`](super::Adam), but `weight_decay` 1e-2.
///
/// ```
/// use catena_tensor::optim::{AdamW, Rule};
///
/// assert!(AdamW::new(1e-3).weight_decay(0.1).check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        let (lr, betas, eps, weight_decay) = (1e-3, (0.9, 0.999), 1e-8, 1e-2);
        Self { lr, betas, eps, weight_decay, amsgrad: false, maximize: false }
    }
}

impl AdamW {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much of the running means of gradient and squared gradient is kept at each step (default 0.9 and 0.999).
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// What is added to the denominator (default 1e-8).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of itself, times `lr`, that a parameter loses at each step (default 1e-2).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// AMSGrad: the denominator never shrinks (default false).
    #[must_use]
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.amsgrad = amsgrad;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Configured for AdamW {
    const NAME: &'static str = "adamw";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The share lost at each step, times lr"),
        Setting::switch("amsgrad", "The denominator never shrinks"),
        maximize(),
    ];
}

impl Rule for AdamW {
    fn slots(&self) -> Vec<Slot> {
        slots(self.amsgrad)
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, amsgrad, maximize } = *self;
        let decoupled_weight_decay = true;
        let arguments =
            AdamArguments { lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay };
        Ok(adam(params, state, stepped, &arguments)?)
    }

    as_data!();
}
