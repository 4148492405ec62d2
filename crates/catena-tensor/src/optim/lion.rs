//! Lion.
use catena_native::TensorList;
use catena_native::rules::{LionArguments, lion};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{betas, lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Lion, evolved sign momentum (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2); torch has
/// none. In one pass over memory on the CPU.
///
/// Defaults are the authors': `lr` 1e-4, `betas` (0.9, 0.99), `weight_decay` 0 (decoupled). They advise a learning rate 3
/// to 10 times smaller than AdamW's, and a weight decay larger by as much.
///
/// ```
/// use catena_tensor::optim::{Lion, Rule};
///
/// assert!(Lion::new(1e-4).betas(0.95, 0.98).weight_decay(0.1).check().is_ok());
/// let error = Lion::new(1e-4).betas(0.9, 1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "lion: `betas[1]` is 1, but must be in [0, 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    lr: f64,
    betas: (f64, f64),
    weight_decay: f64,
    maximize: bool,
}

impl Default for Lion {
    fn default() -> Self {
        Self { lr: 1e-4, betas: (0.9, 0.99), weight_decay: 0.0, maximize: false }
    }
}

impl Lion {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much the running mean counts in an update, and how much of it is kept at each step (default 0.9 and 0.99).
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
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

impl Configured for Lion {
    const NAME: &'static str = "lion";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        betas(|s| &mut s.betas),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The share lost at each step, times lr"),
        maximize(),
    ];
}

impl Rule for Lion {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::Like("exp_avg")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas: (beta1, beta2), weight_decay, maximize } = *self;
        let arguments = LionArguments { lr, beta1, beta2, weight_decay, maximize };
        Ok(lion(params, state, stepped, &arguments)?)
    }

    as_data!();
}
