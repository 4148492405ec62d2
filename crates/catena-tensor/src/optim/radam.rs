//! Rectified Adam.
use catena_native::TensorList;
use catena_native::rules::{RAdamArguments, radam};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, decoupled_weight_decay, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Rectified Adam (Liu et al. 2020). Source: `torch.optim.RAdam`, in one pass over memory on the CPU.
///
/// Defaults are torch's: `lr` 1e-3, `betas` (0.9, 0.999), `eps` 1e-8, `weight_decay` 0 (an L2 penalty, unless decoupled).
///
/// ```
/// use catena_tensor::optim::{RAdam, Rule};
///
/// assert!(RAdam::new(1e-3).weight_decay(0.1).decoupled_weight_decay(true).check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    decoupled_weight_decay: bool,
    maximize: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        let (lr, betas, eps, weight_decay) = (1e-3, (0.9, 0.999), 1e-8, 0.0);
        Self { lr, betas, eps, weight_decay, decoupled_weight_decay: false, maximize: false }
    }
}

impl RAdam {
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

    /// The factor of the L2 penalty, or of the decoupled decay (default 0).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Whether weight decay acts on the parameter as in AdamW, not through the gradient (default false).
    #[must_use]
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.decoupled_weight_decay = decoupled;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Configured for RAdam {
    const NAME: &'static str = "radam";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor, or the decay's"),
        decoupled_weight_decay(),
        maximize(),
    ];
}

impl Rule for RAdam {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Like("exp_avg"), Slot::Like("exp_avg_sq")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, decoupled_weight_decay, maximize } = *self;
        let arguments =
            RAdamArguments { lr, beta1, beta2, eps, weight_decay, decoupled_weight_decay, maximize };
        Ok(radam(params, state, stepped, &arguments)?)
    }

    as_data!();
}
