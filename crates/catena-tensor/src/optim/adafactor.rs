//! Adafactor.
use catena_native::TensorList;
use catena_native::rules::{AdafactorArguments, adafactor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require, require_not_negative};
use crate::error::Result;

/// Adafactor (Shazeer and Stern 2018): of the second moments of a matrix it keeps one number a row and one a column.
/// Source: `torch.optim.Adafactor`, by tensor operations.
///
/// Defaults are torch's: `lr` 1e-2 (an upper bound: the step is relative to the parameter's root mean square and falls as 1
/// / √t), `beta2_decay` -0.8, `eps` (none, 1e-3), `d` 1, `weight_decay` 0 (decoupled).
///
/// ```
/// use catena_tensor::optim::{Adafactor, Rule};
///
/// assert!(Adafactor::new(1e-2).eps(None, 1e-2).d(2.0).check().is_ok());
/// let error = Adafactor::new(1e-2).beta2_decay(0.8).check().unwrap_err();
/// assert_eq!(error.to_string(), "adafactor: `beta2_decay` is 0.8, but must be a number of at most 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adafactor {
    lr: f64,
    beta2_decay: f64,
    eps: (Option<f64>, f64),
    d: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Default for Adafactor {
    fn default() -> Self {
        Self { lr: 1e-2, beta2_decay: -0.8, eps: (None, 1e-3), d: 1.0, weight_decay: 0.0, maximize: false }
    }
}

impl Adafactor {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// At step t, the squared gradient counts t to this power in its running mean (default -0.8).
    #[must_use]
    pub fn beta2_decay(mut self, beta2_decay: f64) -> Self {
        self.beta2_decay = beta2_decay;
        self
    }

    /// What the root of the squared gradients' mean is at least (default none: the dtype's epsilon), and what the
    /// parameter's root mean square is taken to be at least (default 1e-3).
    #[must_use]
    pub fn eps(mut self, eps1: impl Into<Option<f64>>, eps2: f64) -> Self {
        self.eps = (eps1.into(), eps2);
        self
    }

    /// An update whose root mean square is larger than this is scaled down to it (default 1).
    #[must_use]
    pub fn d(mut self, d: f64) -> Self {
        self.d = d;
        self
    }

    /// The share of itself, times `lr`, that a parameter loses at each step (default 0).
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

impl Rule for Adafactor {
    fn name(&self) -> &'static str {
        "adafactor"
    }

    fn check(&self) -> Result<()> {
        let Self { lr, beta2_decay, eps: (eps1, eps2), d, weight_decay, maximize: _ } = *self;
        require_not_negative(
            self,
            &[("lr", lr), ("eps[0]", eps1.unwrap_or(0.0)), ("eps[1]", eps2), ("weight_decay", weight_decay)],
        )?;
        let falls = beta2_decay.is_finite() && beta2_decay <= 0.0;
        require(self, "beta2_decay", beta2_decay, "a number of at most 0", falls)?;
        require(self, "d", d, "a number of at least 1", d.is_finite() && d >= 1.0)
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "beta2_decay", "eps2", "d", "weight_decay"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "beta2_decay" => &mut self.beta2_decay,
            "eps2" => &mut self.eps.1,
            "d" => &mut self.d,
            "weight_decay" => &mut self.weight_decay,
            _ => return None,
        })
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Rows("row_var"), Slot::Columns("col_var"), Slot::Vector("variance")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, beta2_decay, eps: (eps1, eps2), d, weight_decay, maximize } = *self;
        let eps1 = eps1.unwrap_or(-1.0);
        let arguments = AdafactorArguments { lr, beta2_decay, eps1, eps2, d, weight_decay, maximize };
        Ok(adafactor(params, state, stepped, &arguments)?)
    }

    as_data!();
}
