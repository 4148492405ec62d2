//! Adadelta.
use catena_native::TensorList;
use catena_native::rules::{AdadeltaArguments, adadelta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require_in_unit, require_not_negative};
use crate::error::Result;

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

impl Rule for Adadelta {
    fn name(&self) -> &'static str {
        "adadelta"
    }

    fn check(&self) -> Result<()> {
        let Self { lr, rho, eps, weight_decay, maximize: _ } = *self;
        require_not_negative(self, &[("lr", lr), ("eps", eps), ("weight_decay", weight_decay)])?;
        require_in_unit(self, "rho", rho)
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "rho", "eps", "weight_decay"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "rho" => &mut self.rho,
            "eps" => &mut self.eps,
            "weight_decay" => &mut self.weight_decay,
            _ => return None,
        })
    }

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
