//! Stochastic gradient descent.
use catena_native::TensorList;
use catena_native::optim::{SgdArguments, sgd};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require, require_not_negative};
use crate::error::Result;

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

impl Rule for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn check(&self) -> Result<()> {
        let Self { lr, momentum, dampening, weight_decay, nesterov, maximize: _ } = *self;
        require_not_negative(self, &[("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)])?;
        require(self, "dampening", dampening, "a finite number", dampening.is_finite())?;
        if nesterov {
            require(self, "momentum", momentum, "above 0 with nesterov", momentum > 0.0)?;
            require(self, "dampening", dampening, "0 with nesterov", dampening == 0.0)?;
        }
        Ok(())
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "momentum", "dampening", "weight_decay"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "momentum" => &mut self.momentum,
            "dampening" => &mut self.dampening,
            "weight_decay" => &mut self.weight_decay,
            _ => return None,
        })
    }

    fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::Like("momentum_buffer")] }
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, momentum, dampening, weight_decay, nesterov, maximize } = *self;
        let arguments = SgdArguments { lr, momentum, dampening, weight_decay, nesterov, maximize };
        Ok(sgd(params, state.first(), stepped, arguments)?)
    }

    as_data!();
}
