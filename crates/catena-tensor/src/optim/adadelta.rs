//! Adadelta.
use catena_native::TensorList;
use catena_native::rules::{AdadeltaArguments, adadelta};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative, weight};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adadelta (Zeiler 2012). Source: `torch.optim.Adadelta`, in one pass over memory on the CPU.
///
/// Defaults are torch's: `lr` 1, `rho` 0.9, `eps` 1e-6, `weight_decay` 0 (an L2 penalty).
///
/// ```
/// use catena_tensor::optim::{Adadelta, Rule};
///
/// assert!(Adadelta::new(1.0).rho(0.95).check().is_ok());
/// let error = Adadelta::new(1.0).rho(-0.1).check().unwrap_err();
/// assert_eq!(error.to_string(), "adadelta: `rho` is -0.1, but must be in [0, 1]");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adadelta {
    lr: f64,
    rho: f64,
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Default for Adadelta {
    fn default() -> Self {
        Self { lr: 1.0, rho: 0.9, eps: 1e-6, weight_decay: 0.0, maximize: false }
    }
}

impl Adadelta {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much of the running means of squared gradient and squared update is kept at each step (default 0.9).
    #[must_use]
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = rho;
        self
    }

    /// What is added under both roots (default 1e-6).
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

impl Configured for Adadelta {
    const NAME: &'static str = "adadelta";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        weight("rho", |s| &mut s.rho, "How much of the running means is kept"),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        maximize(),
    ];
}

impl Rule for Adadelta {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Like("square_avg"), Slot::Like("acc_delta")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, rho, eps, weight_decay, maximize } = *self;
        let arguments = AdadeltaArguments { lr, rho, eps, weight_decay, maximize };
        Ok(adadelta(params, state, stepped, &arguments)?)
    }

    as_data!();
}
