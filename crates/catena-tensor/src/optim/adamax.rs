//! Adam by the infinity norm.
use catena_native::TensorList;
use catena_native::rules::{AdamaxArguments, adamax};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require_betas, require_not_negative};
use crate::error::Result;

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

impl Rule for Adamax {
    fn name(&self) -> &'static str {
        "adamax"
    }

    fn check(&self) -> Result<()> {
        let Self { lr, betas, eps, weight_decay, maximize: _ } = *self;
        require_not_negative(self, &[("lr", lr), ("eps", eps), ("weight_decay", weight_decay)])?;
        require_betas(self, betas)
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "beta1", "beta2", "eps", "weight_decay"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "beta1" => &mut self.betas.0,
            "beta2" => &mut self.betas.1,
            "eps" => &mut self.eps,
            "weight_decay" => &mut self.weight_decay,
            _ => return None,
        })
    }

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
