//! Adagrad.
use catena_native::TensorList;
use catena_native::rules::{AdagradArguments, adagrad};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Adagrad (Duchi et al. 2011). Source: `torch.optim.Adagrad`, in libtorch's fused kernel.
///
/// Defaults are torch's: `lr` 1e-2, `eps` 1e-10, everything else 0 or off. Unlike torch, which makes all state at once, a
/// parameter has state from its first gradient on.
///
/// ```
/// use catena_tensor::optim::{Adagrad, Rule};
///
/// assert!(Adagrad::new(1e-2).lr_decay(1e-3).initial_accumulator_value(0.1).check().is_ok());
/// let error = Adagrad::new(1e-2).lr_decay(-1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "adagrad: `lr_decay` is -1, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    lr: f64,
    lr_decay: f64,
    weight_decay: f64,
    initial_accumulator_value: f64,
    eps: f64,
    maximize: bool,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            maximize: false,
        }
    }
}

impl Adagrad {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// At its step t, a parameter's learning rate is `lr / (1 + (t - 1) * lr_decay)` (default 0).
    #[must_use]
    pub fn lr_decay(mut self, lr_decay: f64) -> Self {
        self.lr_decay = lr_decay;
        self
    }

    /// The L2 penalty's factor (default 0).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Where the sum of squared gradients starts (default 0).
    #[must_use]
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }

    /// What is added to the denominator (default 1e-10).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Configured for Adagrad {
    const NAME: &'static str = "adagrad";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        not_negative("lr_decay", |s| &mut s.lr_decay, "How fast lr falls"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        not_negative("initial_accumulator_value", |s| &mut s.initial_accumulator_value, "The sum's start"),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        maximize(),
    ];
}

impl Rule for Adagrad {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::Step, Slot::Like("sum")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize } = *self;
        let arguments =
            AdagradArguments { lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize };
        Ok(adagrad(params, state, stepped, &arguments)?)
    }

    as_data!();
}
