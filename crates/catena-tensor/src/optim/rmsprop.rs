//! RMSprop.
use catena_native::TensorList;
use catena_native::rules::{RMSpropArguments, rmsprop};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative, weight};
use crate::error::Result;
use crate::settings::{Configured, Setting};

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

impl Configured for RMSprop {
    const NAME: &'static str = "rmsprop";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        weight("alpha", |s| &mut s.alpha, "How much of the running mean is kept"),
        not_negative("eps", |s| &mut s.eps, "Added to the denominator"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        not_negative("momentum", |s| &mut s.momentum, "How much of the last update goes on"),
        Setting::switch("centered", "Divides by an estimate of the variance"),
        maximize(),
    ];
}

impl Rule for RMSprop {
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
