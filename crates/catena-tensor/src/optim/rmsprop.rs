//! RMSprop.
use catena_native::TensorList;
use catena_native::rules::{RMSpropArguments, rmsprop};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require_in_unit, require_not_negative};
use crate::error::Result;

/// RMSprop (Tieleman and Hinton 2012; centered: Graves 2013). Source: `torch.optim.RMSprop`, in one pass over memory on the
/// CPU.
///
/// Defaults are torch's: `lr` 1e-2, `alpha` 0.99, `eps` 1e-8, everything else 0 or off. As in torch, `eps` is added after
/// the root.
///
/// ```
/// use catena_tensor::optim::{RMSprop, Rule};
///
/// assert!(RMSprop::new(1e-3).alpha(0.9).momentum(0.9).centered(true).check().is_ok());
/// let error = RMSprop::new(1e-3).alpha(1.5).check().unwrap_err();
/// assert_eq!(error.to_string(), "rmsprop: `alpha` is 1.5, but must be in [0, 1]");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RMSprop {
    lr: f64,
    alpha: f64,
    eps: f64,
    weight_decay: f64,
    momentum: f64,
    centered: bool,
    maximize: bool,
}

impl Default for RMSprop {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            maximize: false,
        }
    }
}

impl RMSprop {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much of the running mean of the squared gradient is kept at each step (default 0.99).
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// What is added to the denominator (default 1e-8).
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

    /// The factor by which the last update goes on (default 0).
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Divides by an estimate of the standard deviation, not of the root mean square (default false).
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

impl Rule for RMSprop {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn check(&self) -> Result<()> {
        let Self { lr, alpha, eps, weight_decay, momentum, .. } = *self;
        require_not_negative(
            self,
            &[("lr", lr), ("eps", eps), ("weight_decay", weight_decay), ("momentum", momentum)],
        )?;
        require_in_unit(self, "alpha", alpha)
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "alpha", "eps", "weight_decay", "momentum"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "alpha" => &mut self.alpha,
            "eps" => &mut self.eps,
            "weight_decay" => &mut self.weight_decay,
            "momentum" => &mut self.momentum,
            _ => return None,
        })
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::StepOnHost, Slot::Like("square_avg")];
        slots.extend((self.momentum > 0.0).then_some(Slot::Like("momentum_buffer")));
        slots.extend(self.centered.then_some(Slot::Like("grad_avg")));
        slots
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, alpha, eps, weight_decay, momentum, centered, maximize } = *self;
        // a schedule may have moved the momentum since the state was made
        let momentum_buffer = state.len() > 2 + usize::from(centered);
        let arguments =
            RMSpropArguments { lr, alpha, eps, weight_decay, momentum, centered, maximize, momentum_buffer };
        Ok(rmsprop(params, state, stepped, &arguments)?)
    }

    as_data!();
}
