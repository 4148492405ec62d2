//! Adam by the infinity norm.
use catena_native::TensorList;
use catena_native::rules::{AdamaxArguments, adamax};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adam by the infinity norm (Kingma and Ba 2015, section 7.1). Source: `torch.optim.Adamax`, in one pass over memory on
/// the CPU.
///
/// Defaults are torch's: `lr` 2e-3, `betas` (0.9, 0.999), `eps` 1e-8, `weight_decay` 0 (an L2 penalty).
///
/// ```
/// use catena_tensor::optim::{Adamax, Rule};
///
/// assert!(Adamax::new(2e-3).betas(0.9, 0.99).check().is_ok());
/// let error = Adamax::new(2e-3).eps(-1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "adamax: `eps` is -1, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adamax {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Default for Adamax {
    fn default() -> Self {
        Self { lr: 2e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, maximize: false }
    }
}

impl Adamax {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much of the running mean of the gradient, and of the running largest magnitude, is kept at each step (default
    /// 0.9 and 0.999).
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// What is added to the gradient's magnitude (default 1e-8).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The L2 penalty's factor (default 0).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Configured for Adamax {
    const NAME: &'static str = "adamax";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the gradient's magnitude"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        maximize(),
    ];
}

impl Rule for Adamax {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Like("exp_avg"), Slot::Like("exp_inf")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, maximize } = *self;
        let arguments = AdamaxArguments { lr, beta1, beta2, eps, weight_decay, maximize };
        Ok(adamax(params, state, stepped, &arguments)?)
    }

    as_data!();
}
