//! LAMB.
use catena_native::TensorList;
use catena_native::rules::{LambArguments, lamb};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// LAMB, for large batches (You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
/// algorithm 2); torch has none. In two passes over memory on the CPU.
///
/// AdamW's update is scaled for each parameter tensor so that its norm is `lr` times the parameter's; where either norm is
/// 0 it is not scaled. There is no bound on this ratio (the paper's φ is the identity), and both moments are corrected for
/// their start at zero. `lr` 1e-3, `betas` (0.9, 0.999), `eps` 1e-6 and `weight_decay` 0 by default.
///
/// ```
/// use catena_tensor::optim::{Lamb, ParamGroup, Rule};
///
/// let config = Lamb::new(2e-3).weight_decay(0.01).group(ParamGroup::new("*.bias").set("weight_decay", 0.0));
/// assert!(config.check().is_ok());
/// let error = Lamb::new(f64::NAN).check().unwrap_err();
/// assert_eq!(error.to_string(), "lamb: `lr` is NaN, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lamb {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Default for Lamb {
    fn default() -> Self {
        Self { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-6, weight_decay: 0.0, maximize: false }
    }
}

impl Lamb {
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

    /// What is added to the denominator (default 1e-6).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the parameter that is added to its update before the update is scaled (default 0).
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

impl Configured for Lamb {
    const NAME: &'static str = "lamb";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The share added to the update"),
        maximize(),
    ];
}

impl Rule for Lamb {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Like("exp_avg"), Slot::Like("exp_avg_sq")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, maximize } = *self;
        let arguments = LambArguments { lr, beta1, beta2, eps, weight_decay, maximize };
        Ok(lamb(params, state, stepped, &arguments)?)
    }

    as_data!();
}
