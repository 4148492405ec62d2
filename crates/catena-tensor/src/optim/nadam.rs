//! Adam with Nesterov's momentum.
use catena_native::TensorList;
use catena_native::rules::{NAdamArguments, nadam};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, decoupled_weight_decay, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adam with Nesterov's momentum (Dozat 2016). Source: `torch.optim.NAdam`, in one pass over memory on the CPU.
///
/// Defaults are torch's: `lr` 2e-3, `betas` (0.9, 0.999), `eps` 1e-8, `momentum_decay` 4e-3, `weight_decay` 0 (an L2
/// penalty, unless decoupled). As in torch, the product of the momenta (`mu_product`) is an f32 whatever the parameters'
/// dtype.
///
/// ```
/// use catena_tensor::optim::{NAdam, Rule};
///
/// assert!(NAdam::new(2e-3).weight_decay(0.1).decoupled_weight_decay(true).check().is_ok());
/// let error = NAdam::new(2e-3).betas(1.0, 0.999).check().unwrap_err();
/// assert_eq!(error.to_string(), "nadam: `betas[0]` is 1, but must be in [0, 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NAdam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    momentum_decay: f64,
    decoupled_weight_decay: bool,
    maximize: bool,
}

impl Default for NAdam {
    fn default() -> Self {
        Self {
            lr: 2e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled_weight_decay: false,
            maximize: false,
        }
    }
}

impl NAdam {
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

    /// How fast the momentum nears `betas[0]` from its half: over about `25 / momentum_decay` steps (default 4e-3).
    #[must_use]
    pub fn momentum_decay(mut self, momentum_decay: f64) -> Self {
        self.momentum_decay = momentum_decay;
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

impl Configured for NAdam {
    const NAME: &'static str = "nadam";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor, or the decay's"),
        not_negative("momentum_decay", |s| &mut s.momentum_decay, "How fast momentum grows"),
        decoupled_weight_decay(),
        maximize(),
    ];
}

impl Rule for NAdam {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Number("mu_product"), Slot::Like("exp_avg"), Slot::Like("exp_avg_sq")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self {
            lr,
            betas: (beta1, beta2),
            eps,
            weight_decay,
            momentum_decay,
            decoupled_weight_decay,
            maximize,
        } = *self;
        let arguments = NAdamArguments {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            momentum_decay,
            decoupled_weight_decay,
            maximize,
        };
        Ok(nadam(params, state, stepped, &arguments)?)
    }

    as_data!();
}
