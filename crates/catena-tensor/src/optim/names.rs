//! Parameters with several names: one name for their state.
use std::collections::HashMap;

use tch::Tensor;

use super::optimizer::Optimizer;
use crate::error::{Error, Result};

impl Optimizer {
    /// The name that a parameter goes by here, if it is known by this one.
    fn own_name<'a>(&'a self, name: &'a str) -> &'a str {
        let at = self.aliases.iter().position(|names| names.iter().any(|known| known == name));
        at.map_or(name, |at| &self.names[at])
    }

    /// Names of parameters as this optimizer has them; two that are one parameter's are an error.
    pub(super) fn own_names(&self, names: &[String]) -> Result<Vec<String>> {
        let own: Vec<String> = names.iter().map(|name| self.own_name(name).to_owned()).collect();
        for (i, name) in own.iter().enumerate() {
            if let Some(first) =
                own[..i].iter().position(|known| known == name).filter(|first| names[*first] != names[i])
            {
                let why = "both are in the saved optimizer, as two parameters: it was made for a model in which they are not tied";
                return Err(Error::SharedNames {
                    names: [names[first].clone(), names[i].clone()],
                    why: why.into(),
                });
            }
        }
        Ok(own)
    }

    /// State under the names that this optimizer has; one parameter's state under two of its names is an error.
    pub(super) fn state_by_own_names(&self, state: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let parts = |key: &str| key.rsplit_once('.').map(|(param, slot)| (param.to_owned(), slot.to_owned()));
        let mut seen: HashMap<String, &str> = HashMap::new();
        let mut all = Vec::with_capacity(state.len());
        for (key, tensor) in state {
            let own = match parts(key) {
                Some((param, slot)) => format!("{}.{slot}", self.own_name(&param)),
                None => key.clone(),
            };
            if let Some(other) = seen.insert(own.clone(), key).filter(|other| other != key) {
                let param = |key: &str| parts(key).map_or_else(|| key.to_owned(), |(param, _)| param);
                let why = "both have state of their own: it was saved of a model in which they are not tied";
                return Err(Error::SharedNames { names: [param(other), param(key)], why: why.into() });
            }
            all.push((own, tensor.shallow_clone()));
        }
        Ok(all)
    }
}
