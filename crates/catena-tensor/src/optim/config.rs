//! What an optimizer is made from: a rule with its settings, and groups that differ from it. In code or as data.
use catena_record::float;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::adadelta::Adadelta;
use super::adafactor::Adafactor;
use super::adagrad::Adagrad;
use super::adam::Adam;
use super::adamax::Adamax;
use super::adamw::AdamW;
use super::asgd::Asgd;
use super::lamb::Lamb;
use super::lion::Lion;
use super::muon::Muon;
use super::nadam::NAdam;
use super::param_group::ParamGroup;
use super::radam::RAdam;
use super::rmsprop::RMSprop;
use super::rprop::Rprop;
use super::rule::{OptimizerConfig, Rule};
use super::sgd::Sgd;
use crate::error::{Error, Result};
use crate::params::{Parameter, check_memory};
use crate::settings::{self, Configured, Entry, Registry};

pub(super) const NO_DECAY: &str = "no_decay_on_bias_and_norm";

impl OptimizerConfig {
    /// From `{"name": …, settings, "groups": [{"pattern": …, settings}], "no_decay_on_bias_and_norm": true}`; settings that are left out have torch's defaults.
    ///
    /// Whether values are in range is [`OptimizerConfig::check`]'s business.
    pub fn from_value(value: Value) -> Result<Self> {
        let (entry, mut fields) = RULES.find(value)?;
        let name = entry.name();
        let others = ["groups", NO_DECAY];
        let others: Map<String, Value> =
            others.into_iter().filter_map(|name| fields.remove_entry(name)).collect();
        let Others { groups, no_decay_on_bias_and_norm } = settings::read(name, Value::Object(others))?;
        let rule = entry.read(fields)?;
        let config = Self { rule, groups, no_decay_on_bias_and_norm };
        for group in config.parts() {
            let _known = config.rule.with_settings(group.settings())?;
        }
        Ok(config)
    }

    /// What [`OptimizerConfig::from_value`] reads: every setting, and the groups if there are any.
    pub fn to_value(&self) -> Result<Value> {
        float::to_value(self)
            .map_err(|why| Error::Settings { of: self.rule.name().into(), why: why.to_string() })
    }

    /// The patterns of the groups that were added, in order.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.pattern.as_str())
    }

    /// The groups, those without decay among them: before each group, and before the rest, its vectors.
    fn parts(&self) -> Vec<ParamGroup> {
        let vectors = |group: &ParamGroup| group.clone().max_dimensions(1).set("weight_decay", 0.0);
        let mut parts = Vec::new();
        for group in &self.groups {
            parts.extend(self.no_decay_on_bias_and_norm.then(|| vectors(group)));
            parts.push(group.clone());
        }
        parts.extend(self.no_decay_on_bias_and_norm.then(|| vectors(&ParamGroup::new("*"))));
        parts
    }

    /// A group whose parameters earlier groups have taken, each of them, would set nothing.
    fn check_shadows(&self, params: &[Parameter]) -> Result<()> {
        let mut taken: Vec<Option<&ParamGroup>> = vec![None; params.len()];
        for group in &self.groups {
            let own = group.matching(params)?;
            let before = taken.iter().zip(&own).filter(|(_, own)| **own).map(|(by, _)| *by);
            if let Some(before) = before.collect::<Option<Vec<_>>>().and_then(|all| all.first().copied()) {
                return Err(Error::ShadowedGroup { group: group.name(), before: before.name() });
            }
            for (by, _) in taken.iter_mut().zip(own).filter(|(_, own)| *own) {
                by.get_or_insert(group);
            }
        }
        Ok(())
    }

    /// Two groups that claim a parameter by names of which each matches only its own: which of them is meant can't be known.
    fn check_claims(&self, params: &[Parameter]) -> Result<()> {
        for param in params.iter().filter(|param| !param.aliases.is_empty()) {
            let mut claims: Vec<(&ParamGroup, Vec<&str>)> = Vec::new();
            for group in &self.groups {
                let by = group.claims(param);
                if !by.is_empty() {
                    claims.push((group, by));
                }
            }
            let Some(((first, by), others)) = claims.split_first() else { continue };
            if let Some((other, names)) =
                others.iter().find(|(_, names)| !names.iter().any(|name| by.contains(name)))
            {
                let why = format!(
                    "the group {} claims it by the one and the group {} by the other; leave it to one of them, by a pattern that \
                     matches neither name in the other",
                    first.name(),
                    other.name()
                );
                return Err(Error::SharedNames { names: [by[0].to_owned(), names[0].to_owned()], why });
            }
        }
        Ok(())
    }

    /// The groups, and which parameters each is for; a group that the user has named and that is for none is an error.
    pub(super) fn parts_of(&self, params: &[Parameter]) -> Result<Vec<(ParamGroup, Vec<bool>)>> {
        for group in &self.groups {
            group.matching(params)?;
        }
        Ok(self
            .parts()
            .into_iter()
            .filter_map(|part| part.matching(params).ok().map(|own| (part, own)))
            .collect())
    }

    /// Whether the settings of the rule and of every group are in range.
    pub fn check(&self) -> Result<()> {
        self.rule.check()?;
        self.parts().iter().try_for_each(|group| self.rule.with_settings(group.settings())?.check())
    }

    /// As [`OptimizerConfig::check`], and whether every pattern matches one of these parameters and the rule can update them all.
    /// Parameters that are views of each other, or computed from others, are refused, and so is one with several names that two
    /// groups claim by different ones.
    pub fn check_for(&self, params: &[Parameter]) -> Result<()> {
        self.check()?;
        check_memory(params.iter().map(|param| (param.name.as_str(), &param.tensor)))?;
        self.check_claims(params)?;
        self.check_shadows(params)?;
        for param in params {
            if !param.tensor.f_is_leaf()? && !param.tensor.f_retains_grad()? {
                return Err(Error::NoLeaf(param.name.clone()));
            }
            self.rule.accepts(&param.name, &param.tensor)?;
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
        if self.no_decay_on_bias_and_norm {
            text += "; no decay on biases and norms";
        }
        text
    }

    /// The rule, whose settings hold where no group says otherwise.
    pub fn rule(&self) -> &dyn Rule {
        self.rule.as_ref()
    }
}

impl Serialize for OptimizerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let settings = match self.rule.to_value().map_err(S::Error::custom)? {
            Value::Object(settings) => settings,
            other => return Err(S::Error::custom(format!("{}: {other} is no object", self.rule.name()))),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", self.rule.name())?;
        settings.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        if !self.groups.is_empty() {
            map.serialize_entry("groups", &self.groups)?;
        }
        if self.no_decay_on_bias_and_norm {
            map.serialize_entry(NO_DECAY, &true)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What stands beside the rule's own settings.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Others {
    groups: Vec<ParamGroup>,
    no_decay_on_bias_and_norm: bool,
}

const fn entry<R: Rule + Configured>() -> Entry<dyn Rule> {
    Entry::new::<R>(|settings| Ok(Box::new(settings::read::<R>(R::NAME, settings)?)))
}

const RULES: Registry<dyn Rule> = Registry::new(
    "optimizer",
    "sgd",
    &[
        entry::<Adadelta>(),
        entry::<Adafactor>(),
        entry::<Adagrad>(),
        entry::<Adam>(),
        entry::<Adamax>(),
        entry::<AdamW>(),
        entry::<Asgd>(),
        entry::<Lamb>(),
        entry::<Lion>(),
        entry::<Muon>(),
        entry::<NAdam>(),
        entry::<RAdam>(),
        entry::<RMSprop>(),
        entry::<Rprop>(),
        entry::<Sgd>(),
    ],
);

/// catena's own rules by name, with their fields. What stands beside them (`groups`, `no_decay_on_bias_and_norm`) is
/// [`OptimizerConfig`]'s.
///
/// ```
/// let registry = catena_tensor::optim::registry();
/// assert!(registry.entries().iter().any(|entry| entry.name() == "lion" && entry.fields().len() == 4));
/// ```
pub fn registry() -> Registry<dyn Rule> {
    RULES
}

/// What [`OptimizerConfig::from_value`] reads, as JSON Schema.
///
/// ```
/// let schema = catena_tensor::optim::schema();
/// let adadelta = &schema["oneOf"][0]["properties"];
/// assert_eq!(adadelta["rho"]["default"], 0.9);
/// assert_eq!(adadelta["groups"]["items"]["properties"]["rho"], adadelta["rho"]);
/// ```
pub fn schema() -> Value {
    let mut schema = RULES.schema();
    for rule in schema["oneOf"].as_array_mut().into_iter().flatten() {
        let mut of_group = rule["properties"].clone();
        if let Value::Object(of_group) = &mut of_group {
            of_group.remove("name");
            of_group.insert("pattern".into(), json!({"type": "string"}));
            of_group.insert("max_dimensions".into(), json!({"type": "integer", "minimum": 0}));
        }
        let group = json!({
            "type": "object", "properties": of_group, "required": ["pattern"], "additionalProperties": false,
        });
        rule["properties"]["groups"] = json!({"type": "array", "items": group, "default": []});
        rule["properties"][NO_DECAY] = json!({"type": "boolean", "default": false});
    }
    schema
}

/// The names of catena's own rules, as [`OptimizerConfig::from_value`] takes them.
///
/// ```
/// assert!(catena_tensor::optim::names().any(|name| name == "adamw"));
/// ```
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.names()
}

/// A rule's name and settings: `sgd (lr 0.1, momentum 0.9)`.
pub(super) fn describe(rule: &dyn Rule) -> String {
    let mut rule = rule.clone_box();
    let settings =
        rule.settings().iter().filter_map(|name| Some(format!("{name} {:?}", rule.setting(name)?)));
    let settings: Vec<String> = settings.collect();
    format!("{} ({})", rule.name(), settings.join(", "))
}
