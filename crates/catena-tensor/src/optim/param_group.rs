//! The parameters whose names match a pattern, and how their settings differ.
use catena_record::float;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::params::{Parameter, matching, matching_parameters};

/// The parameters whose names match a pattern, and how their settings differ. One with several names is matched by any of them.
///
/// ```
/// use catena_tensor::optim::{ParamGroup, Rule, Sgd};
///
/// let config = Sgd::new(0.1).weight_decay(1e-4).group(ParamGroup::new("*.bias").lr(0.2).set("weight_decay", 0.0));
/// assert!(config.check().is_ok());
/// let wrong = Sgd::new(0.1).group(ParamGroup::new("*.bias").set("betas", 0.9));
/// assert!(wrong.check().unwrap_err().to_string().starts_with("sgd: unknown field `betas`, expected one of `lr`,"));
/// ```
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ParamGroup {
    pub(super) pattern: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_dimensions: Option<usize>,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

impl ParamGroup {
    /// The parameters whose names match a glob pattern such as `*.bias`.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), max_dimensions: None, settings: Map::new() }
    }

    /// The parameters of fewer than two dimensions, whatever their names: biases, and the weights of norms.
    ///
    /// ```
    /// use catena_tensor::optim::{AdamW, ParamGroup, Rule};
    ///
    /// let config = AdamW::new(1e-3).group(ParamGroup::vectors().set("weight_decay", 0.0));
    /// assert_eq!(
    ///     serde_json::to_value(&config)?["groups"][0],
    ///     serde_json::json!({"pattern": "*", "max_dimensions": 1, "weight_decay": 0.0}),
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn vectors() -> Self {
        Self::new("*").max_dimensions(1)
    }

    /// Only parameters of at most so many dimensions.
    #[must_use]
    pub fn max_dimensions(mut self, most: usize) -> Self {
        self.max_dimensions = Some(self.max_dimensions.map_or(most, |own| own.min(most)));
        self
    }

    /// A learning rate of its own.
    #[must_use]
    pub fn lr(self, lr: f64) -> Self {
        self.set("lr", lr)
    }

    /// Any other setting of its own, by torch's name: a number, a bool, or `(0.9, 0.99)` for betas.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        // what can't be JSON is no setting: the check of the rule's settings tells it, by this text
        let value = float::to_value(&value).unwrap_or_else(|why| why.to_string().into());
        self.settings.insert(name.into(), value);
        self
    }

    /// The pattern and what differs: `` `*.bias`: weight_decay 0 ``.
    pub(super) fn describe(&self) -> String {
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("{}: {}", name_of(&self.pattern, self.max_dimensions), settings.join(", "))
    }

    /// Which parameters it is for; an error if it is for none.
    pub(super) fn matching(&self, params: &[Parameter]) -> Result<Vec<bool>> {
        let mut matched = matching_parameters(&self.pattern, params)?;
        if let Some(most) = self.max_dimensions {
            matched.iter_mut().zip(params).for_each(|(matched, p)| *matched &= p.tensor.dim() <= most);
            if !matched.contains(&true) {
                let known = params.iter().map(|p| p.name.clone()).collect();
                let pattern = format!("{} (at most {most}-D)", self.pattern);
                return Err(Error::NoParameter { pattern, known });
            }
        }
        Ok(matched)
    }

    /// By which of a parameter's names it is for it.
    pub(super) fn claims<'a>(&self, param: &'a Parameter) -> Vec<&'a str> {
        if self.max_dimensions.is_some_and(|most| param.tensor.dim() > most) {
            return Vec::new();
        }
        // a pattern that matches none of them is an error there, and no claim here
        let matched = matching(&self.pattern, param.names());
        let matched = matched.unwrap_or_else(|_| vec![false; 1 + param.aliases.len()]);
        param.names().zip(matched).filter(|(_, matched)| *matched).map(|(name, _)| name).collect()
    }

    pub(super) fn name(&self) -> String {
        name_of(&self.pattern, self.max_dimensions)
    }

    /// How the settings differ, by torch's names.
    pub(super) fn settings(&self) -> &Map<String, Value> {
        &self.settings
    }
}

/// `` `*.bias` ``, or `` `*` (at most 1-D) ``.
pub(super) fn name_of(pattern: &str, max_dimensions: Option<usize>) -> String {
    match max_dimensions {
        Some(most) => format!("`{pattern}` (at most {most}-D)"),
        None => format!("`{pattern}`"),
    }
}
