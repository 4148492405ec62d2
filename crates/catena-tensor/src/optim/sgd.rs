//! Stochastic gradient descent.
use catena_native::TensorList;
use catena_native::rules::{SgdArguments, sgd};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::Range::Finite;
use crate::settings::{Configured, Setting, require};

/// Stochastic gradient descent, with momentum if asked for. Source: `torch.optim.SGD`, in libtorch's fused kernel.
///
/// Defaults are torch's: `lr` 1e-3, everything else 0 or off.
///
/// ```
/// use catena_tensor::optim::{Rule, Sgd};
///
/// assert!(Sgd::new(0.1).momentum(0.9).nesterov(true).check().is_ok());
/// let error = Sgd::new(-0.1).check().unwrap_err();
/// assert_eq!(error.to_string(), "sgd: `lr` is -0.1, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false }
    }
}

impl Sgd {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// The factor by which the last update goes on (default 0).
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// How much of the gradient is kept out of the momentum buffer (default 0).
    #[must_use]
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.dampening = dampening;
        self
    }

    /// The L2 penalty's factor (default 0).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Nesterov's momentum (default false); needs momentum and no dampening.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Configured for Sgd {
    const NAME: &'static str = "sgd";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        not_negative("momentum", |s| &mut s.momentum, "How much of the last update goes on"),
        Setting::number("dampening", |s| &mut s.dampening, Finite, "How much of the gradient is left out"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        Setting::switch("nesterov", "Nesterov's momentum"),
        maximize(),
    ];

    fn check_together(&self) -> Result<()> {
        let Self { momentum, dampening, nesterov, .. } = *self;
        require(Self::NAME, "momentum", momentum, "above 0 with nesterov", !nesterov || momentum > 0.0)?;
        require(Self::NAME, "dampening", dampening, "0 with nesterov", !nesterov || dampening == 0.0)
    }
}

impl Rule for Sgd {
    fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::Like("momentum_buffer")] }
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, momentum, dampening, weight_decay, nesterov, maximize } = *self;
        // a schedule may have moved the momentum since the state was made
        let momentum_buffer = !state.is_empty();
        let arguments =
            SgdArguments { lr, momentum, dampening, weight_decay, nesterov, maximize, momentum_buffer };
        Ok(sgd(params, state, stepped, &arguments)?)
    }

    as_data!();
}
