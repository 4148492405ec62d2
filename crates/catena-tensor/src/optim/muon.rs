//! Muon.
use catena_native::TensorList;
use catena_native::rules::{MuonArguments, muon};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{Rule, as_data};
use super::slot::Slot;
use super::usual::{lr, not_negative};
use crate::error::{Error, Result};
use crate::settings::Range::{ClosedOpen, CountBelow, Finite};
use crate::settings::{Configured, Setting};

/// Muon (Jordan et al. 2024): the momentum, made orthogonal. Source: `torch.optim.Muon`, by tensor operations; the
/// orthogonalisation is in bf16 whatever the parameters' dtype, as in torch.
///
/// It is for the matrices of hidden layers: a parameter of other than two dimensions is an error, and wants an optimizer of
/// its own. Defaults are torch's: `lr` 1e-3, `weight_decay` 0.1 (decoupled), `momentum` 0.95 with Nesterov's, five
/// iterations.
///
/// ```
/// use catena_tensor::optim::{AdjustLr, Muon, Rule};
///
/// assert!(Muon::new(0.02).adjust_lr_fn(AdjustLr::MatchRmsAdamw).check().is_ok());
/// let error = Muon::new(0.02).momentum(1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "muon: `momentum` is 1, but must be in [0, 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Muon {
    lr: f64,
    weight_decay: f64,
    momentum: f64,
    nesterov: bool,
    ns_coefficients: (f64, f64, f64),
    eps: f64,
    ns_steps: u8,
    adjust_lr_fn: Option<AdjustLr>,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            ns_coefficients: (3.4445, -4.7750, 2.0315),
            eps: 1e-7,
            ns_steps: 5,
            adjust_lr_fn: None,
        }
    }
}

impl Muon {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// The share of itself, times `lr`, that a parameter loses at each step (default 0.1).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// How much of the running mean of the gradient is kept at each step (default 0.95).
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Nesterov's momentum (default true).
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// The coefficients of x, x³ and x⁵ in Newton and Schulz's iteration (default 3.4445, -4.7750, 2.0315).
    #[must_use]
    pub fn ns_coefficients(mut self, a: f64, b: f64, c: f64) -> Self {
        self.ns_coefficients = (a, b, c);
        self
    }

    /// What the norm that the matrix is divided by is at least (default 1e-7).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// How many iterations are made (default 5).
    #[must_use]
    pub fn ns_steps(mut self, ns_steps: u8) -> Self {
        self.ns_steps = ns_steps;
        self
    }

    /// How the learning rate depends on the matrix's shape (default none, which is [`AdjustLr::Original`]).
    #[must_use]
    pub fn adjust_lr_fn(mut self, adjust: AdjustLr) -> Self {
        self.adjust_lr_fn = Some(adjust);
        self
    }
}

/// How [`Muon`]'s learning rate depends on a matrix's shape. Source: `adjust_lr_fn` of `torch.optim.Muon`.
///
/// ```
/// use catena_tensor::optim::AdjustLr;
///
/// assert_eq!(serde_json::to_string(&AdjustLr::MatchRmsAdamw).unwrap(), r#""match_rms_adamw""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustLr {
    /// Times √max(1, rows / columns): Jordan's.
    Original,
    /// Times 0.2 √max(rows, columns): the update's root mean square is AdamW's, so that its `lr` can be taken over.
    MatchRmsAdamw,
}

impl Muon {
    fn coefficients(&self) -> [f64; 3] {
        self.ns_coefficients.into()
    }
}

impl Configured for Muon {
    const NAME: &'static str = "muon";
    const SETTINGS: &'static [Setting<Self>] = &[
        lr(|s| &mut s.lr),
        not_negative("weight_decay", |s| &mut s.weight_decay, "The share lost at each step, times lr"),
        Setting::number("momentum", |s| &mut s.momentum, ClosedOpen(0.0, 1.0), "The share of the mean kept"),
        Setting::switch("nesterov", "Nesterov's momentum"),
        Setting::numbers("ns_coefficients", |s| s.coefficients().into(), Finite, "Those of x, x³ and x⁵"),
        not_negative("eps", |s| &mut s.eps, "Bounds the norm divided by"),
        Setting::whole("ns_steps", |s| Some(s.ns_steps.into()), CountBelow(100), "How many iterations"),
        Setting::one_of("adjust_lr_fn", &["original", "match_rms_adamw"], "How lr goes with the shape"),
    ];
}

impl Rule for Muon {
    fn slots(&self) -> Vec<Slot> {
        vec![Slot::Like("momentum_buffer")]
    }

    fn accepts(&self, name: &str, param: &Tensor) -> Result<()> {
        if param.dim() == 2 {
            return Ok(());
        }
        let expected = "muon is for matrices; give this parameter to another optimizer".into();
        Err(Error::Shape { what: format!("parameter `{name}`"), got: param.size(), expected })
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let (ns_a, ns_b, ns_c) = self.ns_coefficients;
        let arguments = MuonArguments {
            lr: self.lr,
            weight_decay: self.weight_decay,
            momentum: self.momentum,
            ns_a,
            ns_b,
            ns_c,
            eps: self.eps,
            ns_steps: self.ns_steps.into(),
            nesterov: self.nesterov,
            match_rms_adamw: self.adjust_lr_fn == Some(AdjustLr::MatchRmsAdamw),
        };
        Ok(muon(params, state, stepped, &arguments)?)
    }

    as_data!();
}
