//! An optimizer's arithmetic: its settings, and the state it keeps.
use std::fmt::Debug;

use catena_native::TensorList;
use catena_record::float;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

use super::{OptimizerConfig, ParamGroup};
use crate::error::{Error, Result};
use crate::settings;

/// A tensor of state that each parameter has. It is zero before the parameter's first step; a rule sets what starts otherwise
/// when `stepped` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Like the parameter. The name is torch's, such as `exp_avg`.
    Like(&'static str),
    /// A counter: an f32 scalar on the parameter's device, named `step`.
    Step,
    /// A counter on the CPU, named `step`.
    StepOnHost,
    /// A number: an f32 scalar on the CPU, such as NAdam's `mu_product`.
    Number(&'static str),
    /// A number a row: the parameter's shape with 1 as the last size. Only from two dimensions on.
    Rows(&'static str),
    /// A number a column: the parameter's shape with 1 as the last size but one. Only from two dimensions on.
    Columns(&'static str),
    /// Like the parameter, but only below two dimensions.
    Vector(&'static str),
}

impl Slot {
    /// The name in a state dict.
    pub fn name(self) -> &'static str {
        match self {
            Self::Like(name)
            | Self::Number(name)
            | Self::Rows(name)
            | Self::Columns(name)
            | Self::Vector(name) => name,
            Self::Step | Self::StepOnHost => "step",
        }
    }

    /// Whether a parameter of so many dimensions has it.
    pub(super) fn is_for(self, dimensions: usize) -> bool {
        match self {
            Self::Rows(_) | Self::Columns(_) => dimensions > 1,
            Self::Vector(_) => dimensions < 2,
            Self::Like(_) | Self::Step | Self::StepOnHost | Self::Number(_) => true,
        }
    }

    /// Whether it is one number, in a dtype of its own.
    pub(super) fn is_number(self) -> bool {
        match self {
            Self::Step | Self::StepOnHost | Self::Number(_) => true,
            Self::Like(_) | Self::Rows(_) | Self::Columns(_) | Self::Vector(_) => false,
        }
    }

    /// The state of a new parameter: zeros, or nothing of size 0 if the parameter doesn't have it.
    pub(super) fn all_zeros(self, params: &[Tensor]) -> Result<TensorList> {
        let made: Vec<Tensor> = params.iter().map(|param| self.zeros(param)).collect::<Result<_>>()?;
        Ok(TensorList::new(&made)?)
    }

    fn zeros(self, param: &Tensor) -> Result<Tensor> {
        let mut size = param.size();
        let n = size.len();
        let options = (param.f_kind()?, param.device());
        if !self.is_for(n) {
            return Ok(Tensor::f_zeros([0], options)?);
        }
        Ok(match self {
            Self::Like(_) | Self::Vector(_) => param.f_detach()?.f_zeros_like()?,
            Self::Step => Tensor::f_zeros([0i64; 0], (Kind::Float, param.device()))?,
            Self::StepOnHost | Self::Number(_) => Tensor::f_zeros([0i64; 0], (Kind::Float, Device::Cpu))?,
            Self::Rows(_) => {
                size[n - 1] = 1;
                Tensor::f_zeros(size, options)?
            }
            Self::Columns(_) => {
                size[n - 2] = 1;
                Tensor::f_zeros(size, options)?
            }
        })
    }
}

/// An optimizer's arithmetic and its settings; the parameters and the state belong to [`Group`](super::Group).
///
/// catena's own rules are those of [`names`](super::names); a rule of your own is used in the same way.
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

    /// Whether it can update this parameter; by default it can update every one.
    fn accepts(&self, name: &str, param: &Tensor) -> Result<()> {
        let _ = (name, param);
        Ok(())
    }

    /// Updates the parameters that have a gradient. `state` is in the order of [`Rule::slots`]; `stepped[i]` tells whether
    /// parameter `i` has been stepped before, and is set for those that are stepped now.
    fn step(&self, params: &TensorList, state: &[TensorList], stepped: &mut [u8]) -> Result<()>;

    /// A copy with the same settings.
    fn clone_box(&self) -> Box<dyn Rule>;

    /// A copy in which some settings, by torch's names, are others. [`merged`] does this for rules that are `serde` types.
    fn with_settings(&self, changes: &Map<String, Value>) -> Result<Box<dyn Rule>>;

    /// The settings by torch's names, a JSON object. [`to_value`] does this for rules that are `serde` types.
    fn to_value(&self) -> Result<Value>;

    /// A config with one group that differs.
    fn group(self, group: ParamGroup) -> OptimizerConfig
    where
        Self: Sized + 'static,
    {
        OptimizerConfig::from(self).group(group)
    }

    /// A config as [`OptimizerConfig::no_decay_on_bias_and_norm`] makes it.
    fn no_decay_on_bias_and_norm(self) -> OptimizerConfig
    where
        Self: Sized + 'static,
    {
        OptimizerConfig::from(self).no_decay_on_bias_and_norm()
    }
}

/// A copy of a rule in which some settings are others; an unknown name is an error that lists the known ones.
pub fn merged<R>(rule: &R, changes: &Map<String, Value>) -> Result<Box<dyn Rule>>
where
    R: Rule + Serialize + DeserializeOwned + 'static,
{
    let mut all = to_value(rule)?;
    if let Value::Object(all) = &mut all {
        all.extend(changes.clone());
    }
    Ok(Box::new(settings::read::<R>(rule.name(), all)?))
}

/// A rule's settings as a JSON object; floats that are not finite are words, as [`settings::to_value`] writes them.
pub fn to_value<R: Rule + Serialize>(rule: &R) -> Result<Value> {
    float::to_value(rule).map_err(|why| Error::Settings { of: rule.name().into(), why: why.to_string() })
}

/// The methods of [`Rule`] that are the same in every rule that is a `serde` type.
macro_rules! as_data {
    () => {
        fn clone_box(&self) -> Box<dyn Rule> {
            Box::new(self.clone())
        }

        fn with_settings(&self, changes: &Map<String, Value>) -> Result<Box<dyn Rule>> {
            crate::optim::merged(self, changes)
        }

        fn to_value(&self) -> Result<Value> {
            crate::optim::to_value(self)
        }
    };
}
pub(super) use as_data;

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

/// The check of a weight in a running mean.
pub(super) fn require_in_unit(rule: &dyn Rule, name: &str, value: f64) -> Result<()> {
    require(rule, name, value, "in [0, 1]", (0.0..=1.0).contains(&value))
}

/// The check of Adam's and its kin's `betas`.
pub(super) fn require_betas(rule: &dyn Rule, betas: (f64, f64)) -> Result<()> {
    let good = |beta: f64| (0.0..1.0).contains(&beta);
    require(rule, "betas[0]", betas.0, "in [0, 1)", good(betas.0))?;
    require(rule, "betas[1]", betas.1, "in [0, 1)", good(betas.1))
}
