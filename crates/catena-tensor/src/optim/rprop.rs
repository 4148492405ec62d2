//! Resilient backpropagation.
use catena_native::TensorList;
use catena_native::rules::{RpropArguments, rprop};
use serde::{Deserialize, Serialize};

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, maximize};
use crate::error::Result;
use crate::settings::Range::{Above, AtLeast, Finite, Open};
use crate::settings::{Configured, Setting, require};

/// Resilient backpropagation (Riedmiller and Braun 1993). Source: `torch.optim.Rprop`, in one pass over memory on the CPU.
///
/// Only the gradients' signs count, so it is for whole batches. Defaults are torch's: `lr` 1e-2, `etas` (0.5, 1.2),
/// `step_sizes` (1e-6, 50). `lr` is every element's first step size and does nothing after a parameter's first step.
///
/// ```
/// use catena_tensor::optim::{Rprop, Rule};
///
/// assert!(Rprop::new(1e-2).etas(0.4, 1.1).step_sizes(1e-5, 1.0).check().is_ok());
/// let error = Rprop::new(1e-2).etas(0.5, 0.9).check().unwrap_err();
/// assert_eq!(error.to_string(), "rprop: `etas[1]` is 0.9, but must be a number above 1");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rprop {
    lr: f64,
    etas: (f64, f64),
    step_sizes: (f64, f64),
    maximize: bool,
}

impl Default for Rprop {
    fn default() -> Self {
        Self { lr: 1e-2, etas: (0.5, 1.2), step_sizes: (1e-6, 50.0), maximize: false }
    }
}

impl Rprop {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// By what a step size is multiplied where the gradient's sign has changed, and where it has not (default 0.5 and 1.2).
    #[must_use]
    pub fn etas(mut self, etaminus: f64, etaplus: f64) -> Self {
        self.etas = (etaminus, etaplus);
        self
    }

    /// The least and the largest step size (default 1e-6 and 50).
    #[must_use]
    pub fn step_sizes(mut self, least: f64, largest: f64) -> Self {
        self.step_sizes = (least, largest);
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }
}

/// What the factors, and the least and the largest step size, are called where one of them is moved.
const ETAS: [&str; 2] = ["etaminus", "etaplus"];
const STEP_SIZES: [&str; 2] = ["step_size_min", "step_size_max"];

impl Configured for Rprop {
    const NAME: &'static str = "rprop";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        Setting::pair("etas", ETAS, |s| &mut s.etas, [Open(0.0, 1.0), Above(1.0)], "Its factors"),
        Setting::pair("step_sizes", STEP_SIZES, |s| &mut s.step_sizes, [AtLeast(0.0), Finite], "Bounds"),
        maximize(),
    ];

    fn check_together(&self) -> Result<()> {
        let (least, largest) = self.step_sizes;
        require(Self::NAME, "step_sizes[1]", largest, "a number of at least step_sizes[0]", largest >= least)
    }
}

impl Rule for Rprop {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::StepOnHost, Slot::Like("prev"), Slot::Like("step_size")]
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, etas: (etaminus, etaplus), step_sizes: (step_size_min, step_size_max), maximize } =
            *self;
        let arguments = RpropArguments { lr, etaminus, etaplus, step_size_min, step_size_max, maximize };
        Ok(rprop(params, state, stepped, &arguments)?)
    }

    as_data!();
}
