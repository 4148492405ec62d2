//! Adam and AdamW.
use catena_native::TensorList;
use catena_native::optim::{AdamArguments, adam};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{Rule, Slot, as_data, require_betas, require_not_negative};
use crate::error::Result;

/// Adam (Kingma and Ba 2015). Source: `torch.optim.Adam`, in libtorch's fused kernel.
///
/// Defaults are torch's: `lr` 1e-3, `betas` (0.9, 0.999), `eps` 1e-8, `weight_decay` 0 (an L2 penalty, unless
/// decoupled), no AMSGrad.
///
/// ```
/// use catena_tensor::optim::{Adam, Rule};
///
/// let error = Adam::new(1e-3).betas(0.9, 1.0).check().unwrap_err();
/// assert_eq!(error.to_string(), "adam: `betas[1]` is 1, but must be in [0, 1)");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
}

impl Default for Adam {
    fn default() -> Self {
        let (lr, betas, eps, weight_decay) = (1e-3, (0.9, 0.999), 1e-8, 0.0);
        Self { lr, betas, eps, weight_decay, amsgrad: false, maximize: false, decoupled_weight_decay: false }
    }
}

impl Adam {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// How much of the running means of gradient and squared gradient is kept at each step (default 0.9 and 0.999).
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// What is added to the denominator (default 1e-8).
    #[must_use]
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The factor of the L2 penalty, or of the decoupled decay (default 0).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// AMSGrad: the denominator never shrinks (default false).
    #[must_use]
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.amsgrad = amsgrad;
        self
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }

    /// Whether weight decay acts on the parameter, as in [`AdamW`], not through the gradient (default false).
    #[must_use]
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.decoupled_weight_decay = decoupled;
        self
    }

    fn check_as(&self, rule: &dyn Rule) -> Result<()> {
        require_not_negative(
            rule,
            &[("lr", self.lr), ("eps", self.eps), ("weight_decay", self.weight_decay)],
        )?;
        require_betas(rule, self.betas)
    }

    fn step_fused(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        let Self { lr, betas, eps, weight_decay, amsgrad: _, maximize, decoupled_weight_decay } = *self;
        let arguments = AdamArguments { lr, betas, eps, weight_decay, decoupled_weight_decay, maximize };
        let [step, exp_avg, exp_avg_sq, max_exp_avg_sq @ ..] = state else {
            return Err(crate::Error::State("Adam keeps three or four tensors a parameter".into()));
        };
        Ok(adam(params, exp_avg, exp_avg_sq, max_exp_avg_sq.first(), step, stepped, arguments)?)
    }
}

impl Rule for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn check(&self) -> Result<()> {
        self.check_as(self)
    }

    fn settings(&self) -> &'static [&'static str] {
        &["lr", "beta1", "beta2", "eps", "weight_decay"]
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "lr" => &mut self.lr,
            "beta1" => &mut self.betas.0,
            "beta2" => &mut self.betas.1,
            "eps" => &mut self.eps,
            "weight_decay" => &mut self.weight_decay,
            _ => return None,
        })
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::Step, Slot::Like("exp_avg"), Slot::Like("exp_avg_sq")];
        slots.extend(self.amsgrad.then_some(Slot::Like("max_exp_avg_sq")));
        slots
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        self.step_fused(params, state, stepped)
    }

    as_data!();
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019). Source: `torch.optim.AdamW`, in libtorch's fused kernel.
///
/// Defaults are torch's: as [`Adam`], but `weight_decay` 1e-2.
///
/// ```
/// use catena_tensor::optim::{AdamW, Rule};
///
/// assert!(AdamW::new(1e-3).weight_decay(0.1).check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "AdamWSettings", into = "AdamWSettings")]
pub struct AdamW {
    /// With `decoupled_weight_decay`.
    adam: Adam,
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AdamWSettings {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        AdamW::default().into()
    }
}

impl From<AdamW> for AdamWSettings {
    fn from(AdamW { adam }: AdamW) -> Self {
        let Adam { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay: _ } = adam;
        Self { lr, betas, eps, weight_decay, amsgrad, maximize }
    }
}

impl From<AdamWSettings> for AdamW {
    fn from(settings: AdamWSettings) -> Self {
        let AdamWSettings { lr, betas, eps, weight_decay, amsgrad, maximize } = settings;
        let decoupled_weight_decay = true;
        Self { adam: Adam { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay } }
    }
}

impl Default for AdamW {
    fn default() -> Self {
        Self { adam: Adam { weight_decay: 1e-2, decoupled_weight_decay: true, ..Adam::default() } }
    }
}

impl AdamW {
    /// With this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { adam: Adam { lr, ..Self::default().adam } }
    }

    /// How much of the running means of gradient and squared gradient is kept at each step (default 0.9 and 0.999).
    #[must_use]
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        Self { adam: self.adam.betas(beta1, beta2) }
    }

    /// What is added to the denominator (default 1e-8).
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { adam: self.adam.eps(eps) }
    }

    /// The share of itself, times `lr`, that a parameter loses at each step (default 1e-2).
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { adam: self.adam.weight_decay(weight_decay) }
    }

    /// AMSGrad: the denominator never shrinks (default false).
    #[must_use]
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        Self { adam: self.adam.amsgrad(amsgrad) }
    }

    /// Goes up the gradient, not down (default false).
    #[must_use]
    pub fn maximize(self, maximize: bool) -> Self {
        Self { adam: self.adam.maximize(maximize) }
    }
}

impl Rule for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn check(&self) -> Result<()> {
        self.adam.check_as(self)
    }

    fn settings(&self) -> &'static [&'static str] {
        self.adam.settings()
    }

    fn setting(&mut self, name: &str) -> Option<&mut f64> {
        self.adam.setting(name)
    }

    fn slots(&self) -> Vec<Slot> {
        self.adam.slots()
    }

    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()> {
        self.adam.step_fused(params, state, stepped)
    }

    as_data!();
}
