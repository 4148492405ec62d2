//! An optimizer's arithmetic, its settings, and what an optimizer is made from.
use std::fmt::Debug;

use catena_native::TensorList;
use catena_record::float;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tch::Tensor;

use super::param_group::ParamGroup;
use super::slot::Slot;
use crate::error::{Error, Result};
use crate::settings;

/// An optimizer's arithmetic and its settings; the parameters and the state belong to [`Group`](super::Group).
///
/// catena's own rules are those of [`names`](super::names); a rule of your own is used in the same way. Where its settings are a table
/// ([`Configured`](crate::settings::Configured)), that has the bodies of [`Rule::name`], [`Rule::check`] and [`Rule::setting`].
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

/// The methods of [`Rule`] that follow from the table of settings ([`Configured`](crate::settings::Configured)).
macro_rules! as_data {
    () => {
        fn name(&self) -> &'static str {
            Self::NAME
        }

        fn check(&self) -> Result<()> {
            self.check_settings()
        }

        fn settings(&self) -> &'static [&'static str] {
            const {
                &crate::settings::number_names::<Self, { crate::settings::count_numbers(Self::SETTINGS) }>(
                    Self::SETTINGS,
                )
            }
        }

        fn setting(&mut self, name: &str) -> Option<&mut f64> {
            self.number_mut(name)
        }

        fn clone_box(&self) -> Box<dyn Rule> {
            Box::new(self.clone())
        }

        fn with_settings(
            &self,
            changes: &serde_json::Map<String, serde_json::Value>,
        ) -> Result<Box<dyn Rule>> {
            crate::optim::rule::merged(self, changes)
        }

        fn to_value(&self) -> Result<serde_json::Value> {
            crate::optim::rule::to_value(self)
        }
    };
}
pub(super) use as_data;

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
///
/// It is data too, with torch's names; an unknown name or field is an error that lists the known ones:
///
/// ```
/// use catena_tensor::optim::OptimizerConfig;
///
/// let text = r#"{
///     "name": "adamw", "lr": 0.001, "betas": [0.9, 0.999],
///     "groups": [{"pattern": "*.bias", "weight_decay": 0.0}]
/// }"#;
/// let config: OptimizerConfig = serde_json::from_str(text)?;
/// let written = serde_json::to_string(&config)?;
/// assert!(written.starts_with(r#"{"name":"adamw","amsgrad":false,"betas":[0.9,0.999],"eps":1e-8,"#));
///
/// let error = serde_json::from_str::<OptimizerConfig>(r#"{"name": "sgd", "beta": 0.9}"#).unwrap_err();
/// assert!(error.to_string().starts_with("sgd: unknown field `beta`, expected one of `lr`, `momentum`,"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct OptimizerConfig {
    pub(super) rule: Box<dyn Rule>,
    pub(super) groups: Vec<ParamGroup>,
    pub(super) no_decay_on_bias_and_norm: bool,
}

impl Clone for OptimizerConfig {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone_box(),
            groups: self.groups.clone(),
            no_decay_on_bias_and_norm: self.no_decay_on_bias_and_norm,
        }
    }
}

impl<R: Rule + 'static> From<R> for OptimizerConfig {
    fn from(rule: R) -> Self {
        Self { rule: Box::new(rule), groups: Vec::new(), no_decay_on_bias_and_norm: false }
    }
}

impl OptimizerConfig {
    /// Adds a group; groups before it come first where two patterns match a name.
    #[must_use]
    pub fn group(mut self, group: ParamGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// No weight decay on parameters of fewer than two dimensions, which are biases and the weights of norms; in every group,
    /// also in one that sets a weight decay of its own.
    ///
    /// ```
    /// use catena_tensor::optim::{AdamW, Optimizer, Rule};
    /// use catena_tensor::params::parameters;
    /// use tch::{Device, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let _ = nn::linear(vs.root() / "fc", 4, 2, Default::default());
    /// let _ = nn::layer_norm(vs.root() / "norm", vec![2], Default::default());
    /// let optimizer = Optimizer::new(AdamW::new(1e-3).no_decay_on_bias_and_norm(), &parameters(&vs))?;
    /// let [vectors, rest] = optimizer.groups() else { panic!("two groups") };
    /// assert_eq!((rest.names(), rest.get("weight_decay")), (&["fc.weight".to_owned()][..], Some(1e-2)));
    /// assert_eq!((vectors.names().len(), vectors.get("weight_decay")), (3, Some(0.0)));
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    #[must_use]
    pub fn no_decay_on_bias_and_norm(mut self) -> Self {
        self.no_decay_on_bias_and_norm = true;
        self
    }
}
