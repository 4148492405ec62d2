//! Adafactor.
use catena_native::TensorList;
use catena_native::rules::{AdafactorArguments, adafactor};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::Range::{AtLeast, AtMost};
use crate::settings::{Configured, Setting};

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

impl Configured for Adafactor {
    const NAME: &'static str = "adafactor";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        Setting::number("beta2_decay", |s| &mut s.beta2_decay, AtMost(0.0), "The power of the mean's decay"),
        Setting::optional("eps[0]", |s| s.eps.0, AtLeast(0.0), "Bounds squared gradients"),
        not_negative("eps2", |s: &mut Self| &mut s.eps.1, "Bounds a parameter's scale").at("eps[1]"),
        Setting::number("d", |s| &mut s.d, AtLeast(1.0), "The largest root mean square of an update"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The share lost at each step, times lr"),
        maximize(),
    ];
}

impl Rule for Adafactor {
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
