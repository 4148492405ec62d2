//! Adam.
use catena_native::TensorList;
use catena_native::rules::{AdamArguments, adam};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, decoupled_weight_decay, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adam (Kingma and Ba 2015). Source: `torch.optim.Adam`, in libtorch's fused kernel.
///
/// Defaults are torch's: `lr` 1e-3, `betas` (0.9, 0.999), `eps` 1e-8, `weight_decay` 0 (an L2 penalty, unless
/// decoupled), no AMSGrad.
///
/// ```
/// use catena_tensor::optim::{Adam, Rule};
///
/// let error = Adam::new(1e-3).betas(0.9, 1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "adam: `betas[1]` is 1, but must be in [0, 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
}

impl Default for Adam {
    fn default() -> Self {
        let (lr, betas, eps, weight_decay) = (1e-3, (0.9, 0.999), 1e-8, 0.0);
        Self { lr, betas, eps, weight_decay, amsgrad: false, maximize: false, decoupled_weight_decay: false }
    }
}

impl Adam {
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

    /// Whether weight decay acts on the parameter, as in [`AdamW`](super::AdamW), not through the gradient (default false).
    #[must_use]
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.decoupled_weight_decay = decoupled;
        self
    }
}

impl Configured for Adam {
    const NAME: &'static str = "adam";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor, or the decay's"),
        Setting::switch("amsgrad", "The denominator never shrinks"),
        maximize(),
        decoupled_weight_decay(),
    ];
}

impl Rule for Adam {
    fn slots(&self) -> Vec<Slot> {
        slots(self.amsgrad)
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, amsgrad, maximize, decoupled_weight_decay } =
            *self;
        let arguments =
            AdamArguments { lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay };
        Ok(adam(params, state, stepped, &arguments)?)
    }

    as_data!();
}

/// The state that Adam keeps, and AdamW.
pub(super) fn slots(amsgrad: bool) -> Vec<Slot> {
    let mut slots = vec![Slot::Step, Slot::Like("exp_avg"), Slot::Like("exp_avg_sq")];
    slots.extend(amsgrad.then_some(Slot::Like("max_exp_avg_sq")));
    slots
}
