//! What an optimizer is made from: a rule with its settings, and groups that differ from it.
use std::fmt::Debug;

use catena_native::TensorList;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ParamGroup;
use crate::params::{Parameter, matching};
use crate::{Error, Result};

/// A tensor of state that each parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Like the parameter, zero at first. The name is torch's, such as `exp_avg`.
    Like(&'static str),
    /// A counter: an f32 scalar on the parameter's device, named `step`.
    Step,
    /// A counter on the CPU, named `step`.
    StepOnHost,
}

impl Slot {
    /// The name in a state dict.
    pub fn name(self) -> &'static str {
        match self {
            Self::Like(name) => name,
            Self::Step | Self::StepOnHost => "step",
        }
    }
}

/// An optimizer's arithmetic and its settings; the parameters and the state belong to [`Group`](super::Group).
///
/// catena's own rules are [`Sgd`](super::Sgd), [`Adam`](super::Adam), [`AdamW`](super::AdamW) and [`RAdam`](super::RAdam);
/// a rule of your own is used in the same way.
pub trait Rule: Debug + Send {
    /// The name, as in torch in lower case.
    fn name(&self) -> &'static str;

    /// Whether every setting is in its range.
    fn check(&self) -> Result<()>;

    /// The names of the settings that are numbers, `lr` among them; `momentum` (or `beta1`) if a schedule may move it.
    fn settings(&self) -> &'static [&'static str];

    /// A setting that is a number.
    fn setting(&mut self, name: &str) -> Option<&mut f64>;

    /// The state that each parameter has.
    fn slots(&self) -> Vec<Slot>;

    /// Updates the parameters that have a gradient. `state` is in the order of [`Rule::slots`]; `stepped[i]` tells whether
    /// parameter `i` has been stepped before, and is set for those that are stepped now.
    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()>;

    /// A copy with the same settings.
    fn clone_box(&self) -> Box<dyn Rule>;

    /// A copy in which some settings, by torch's names, are others. [`merged`] does this for rules that are `serde` types.
    fn with_settings(&self, changes: &Map<String, Value>) -> Result<Box<dyn Rule>>;

    /// A config with one group that differs.
    fn group(self, group: ParamGroup) -> OptimizerConfig
    where
        Self: Sized + 'static,
    {
        OptimizerConfig::from(self).group(group)
    }
}

/// A copy of a rule in which some settings are others; an unknown name is an error that lists the known ones.
pub fn merged<R>(rule: &R, changes: &Map<String, Value>) -> Result<Box<dyn Rule>>
where
    R: Rule + Serialize + DeserializeOwned + 'static,
{
    let wrong = |why: serde_json::Error| Error::Settings { of: rule.name().into(), why: why.to_string() };
    let mut settings = serde_json::to_value(rule).map_err(wrong)?;
    if let Value::Object(settings) = &mut settings {
        settings.extend(changes.clone());
    }
    Ok(Box::new(serde_json::from_value::<R>(settings).map_err(wrong)?))
}

/// A rule and the groups that differ from it. Every rule becomes one by itself.
///
/// ```
/// use catena_tensor::optim::{OptimizerConfig, ParamGroup, Sgd};
///
/// let config = OptimizerConfig::from(Sgd::new(0.1)).group(ParamGroup::new("head.*").lr(1.0));
/// assert_eq!(
///     config.describe(),
///     "sgd (lr 0.1, momentum 0.0, dampening 0.0, weight_decay 0.0); `head.*`: lr 1.0",
/// );
/// ```
#[derive(Debug)]
pub struct OptimizerConfig {
    pub(super) rule: Box<dyn Rule>,
    pub(super) groups: Vec<ParamGroup>,
}

impl Clone for OptimizerConfig {
    fn clone(&self) -> Self {
        Self { rule: self.rule.clone_box(), groups: self.groups.clone() }
    }
}

impl<R: Rule + 'static> From<R> for OptimizerConfig {
    fn from(rule: R) -> Self {
        Self { rule: Box::new(rule), groups: Vec::new() }
    }
}

impl OptimizerConfig {
    /// Adds a group; groups before it come first where two patterns match a name.
    #[must_use]
    pub fn group(mut self, group: ParamGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Whether the settings of the rule and of every group are in range.
    pub fn check(&self) -> Result<()> {
        self.rule.check()?;
        self.groups.iter().try_for_each(|group| group.rule(self.rule.as_ref())?.check())
    }

    /// As [`OptimizerConfig::check`], and whether every pattern matches one of these parameters.
    pub fn check_for(&self, params: &[Parameter]) -> Result<()> {
        self.check()?;
        for group in &self.groups {
            matching(&group.pattern, params.iter().map(|p| p.name.as_str()))?;
        }
        if params.is_empty() {
            return Err(Error::NoParameter { pattern: "*".into(), known: Vec::new() });
        }
        Ok(())
    }

    /// One line: the rule and its settings, and where groups differ.
    pub fn describe(&self) -> String {
        let mut text = describe(self.rule.as_ref());
        for group in &self.groups {
            text += &format!("; {}", group.describe());
        }
        text
    }

    /// The rule, whose settings hold where no group says otherwise.
    pub fn rule(&self) -> &dyn Rule {
        self.rule.as_ref()
    }
}

/// A rule's name and settings: `sgd (lr 0.1, momentum 0.9)`.
pub(super) fn describe(rule: &dyn Rule) -> String {
    let mut rule = rule.clone_box();
    let settings =
        rule.settings().iter().filter_map(|name| Some(format!("{name} {:?}", rule.setting(name)?)));
    let settings: Vec<String> = settings.collect();
    format!("{} ({})", rule.name(), settings.join(", "))
}

/// Checks one setting of a rule.
pub(super) fn require(
    rule: &dyn Rule,
    name: &str,
    value: f64,
    allowed: &str,
    is_allowed: bool,
) -> Result<()> {
    if is_allowed {
        return Ok(());
    }
    let (of, name) = (rule.name().into(), name.into());
    Err(Error::Setting { of, name, got: value.to_string(), allowed: allowed.into() })
}

/// The checks that every rule shares: finite, not negative.
pub(super) fn require_not_negative(rule: &dyn Rule, settings: &[(&str, f64)]) -> Result<()> {
    settings.iter().try_for_each(|&(name, value)| {
        require(rule, name, value, "a number of at least 0", value.is_finite() && value >= 0.0)
    })
}

/// The check of Adam's and its kin's `betas`.
pub(super) fn require_betas(rule: &dyn Rule, betas: (f64, f64)) -> Result<()> {
    let good = |beta: f64| (0.0..1.0).contains(&beta);
    require(rule, "betas[0]", betas.0, "in [0, 1)", good(betas.0))?;
    require(rule, "betas[1]", betas.1, "in [0, 1)", good(betas.1))
}
