//! Averaged stochastic gradient descent.
use catena_native::TensorList;
use catena_native::rules::{AsgdArguments, asgd};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize, not_negative};
use crate::error::Result;
use crate::settings::{Configured, Setting};

/// Averaged stochastic gradient descent (Polyak and Juditsky 1992). Source: `torch.optim.ASGD`, in one pass over memory on
/// the CPU.
///
/// The averages are the state `ax`. Defaults are torch's: `lr` 1e-2, `lambd` 1e-4, `alpha` 0.75, `t0` 1e6, `weight_decay`
/// 0. As in torch, a change of `lr` reaches a parameter one step late, and the step size `eta` and the averages' weight
/// `mu` are f32 whatever the parameters' dtype.
///
/// ```
/// use catena_tensor::optim::{Asgd, Rule};
///
/// assert!(Asgd::new(1e-2).lambd(1e-3).t0(1000.0).check().is_ok());
/// let error = Asgd::new(1e-2).lambd(-1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "asgd: `lambd` is -1, but must be a number of at least 0");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asgd {
    lr: f64,
    lambd: f64,
    alpha: f64,
    t0: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Default for Asgd {
    fn default() -> Self {
        Self { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0.0, maximize: false }
    }
}

impl Asgd {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// The decay: of the parameters at each step, and of the step size over the steps (default 1e-4).
    #[must_use]
    pub fn lambd(mut self, lambd: f64) -> Self {
        self.lambd = lambd;
        self
    }

    /// The power with which the step size falls (default 0.75).
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The step from which on the parameters are averaged (default 1e6).
    #[must_use]
    pub fn t0(mut self, t0: f64) -> Self {
        self.t0 = t0;
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

impl Configured for Asgd {
    const NAME: &'static str = "asgd";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        not_negative("lambd", |s| &mut s.lambd, "The decay at each step"),
        not_negative("alpha", |s| &mut s.alpha, "The power with which the step size falls"),
        not_negative("t0", |s| &mut s.t0, "The step from which on it averages"),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The L2 penalty's factor"),
        maximize(),
    ];
}

impl Rule for Asgd {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Number("eta"), Slot::Number("mu"), Slot::Like("ax")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, lambd, alpha, t0, weight_decay, maximize } = *self;
        let arguments = AsgdArguments { lr, lambd, alpha, t0, weight_decay, maximize };
        Ok(asgd(params, state, stepped, &arguments)?)
    }

    as_data!();
}
