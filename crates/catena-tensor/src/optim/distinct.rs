//! Parameters with several names: one place in an optimizer.
use std::collections::HashMap;

use catena_native::tensor::identity;

use crate::params::Parameter;

/// The parameters, each tensor once at its first place, with the names of all its places.
pub(super) fn distinct(params: &[Parameter]) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = Vec::with_capacity(params.len());
    let mut places = HashMap::new();
    for param in params {
        let at = *places.entry(identity(&param.tensor)).or_insert(all.len());
        if at == all.len() {
            all.push(Parameter::new(param.name.clone(), param.tensor.shallow_clone()));
        }
        let own = &mut all[at];
        for name in param.names() {
            if own.names().all(|known| known != name) {
                own.aliases.push(name.to_owned());
            }
        }
    }
    all
}
