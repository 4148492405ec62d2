//! A model's parameters and buffers by name, in an order that stays.
//!
//! tch keeps names in a hash map, whose order changes from process to process, and the trainable variables, in order of
//! creation, without names. Here both come together.
use std::collections::{HashMap, HashSet};

use catena_native::tensor::identity;
use tch::Tensor;
use tch::nn::VarStore;

use crate::{Error, Result};

/// A trainable variable and its name.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the var store, such as `fc1.weight`.
    pub name: String,
    /// The variable itself, shared with the model.
    pub tensor: Tensor,
}

/// The trainable variables, in order of creation.
///
/// ```
/// use catena_tensor::params::parameters;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let names: Vec<String> = parameters(&vs).into_iter().map(|p| p.name).collect();
/// assert_eq!(names, ["fc.bias", "fc.weight"]); // tch creates a layer's bias first
/// ```
pub fn parameters(vs: &VarStore) -> Vec<Parameter> {
    let variables = vs.variables_.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let names: HashMap<usize, &String> =
        variables.named_variables.iter().map(|(name, tensor)| (identity(tensor), name)).collect();
    variables
        .trainable_variables
        .iter()
        .enumerate()
        .map(|(i, var)| Parameter {
            name: names
                .get(&identity(&var.tensor))
                .map_or_else(|| format!("unnamed.{i}"), |name| (*name).clone()),
            tensor: var.tensor.shallow_clone(),
        })
        .collect()
}

/// Parameters and buffers (a batch norm's running mean, …) by name, sorted by name.
///
/// ```
/// use catena_tensor::params::state_dict;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::batch_norm1d(vs.root() / "bn", 4, Default::default());
/// let names: Vec<String> = state_dict(&vs).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight"]);
/// ```
pub fn state_dict(vs: &VarStore) -> Vec<(String, Tensor)> {
    let mut all: Vec<(String, Tensor)> = vs.variables().into_iter().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// The variables that no optimizer trains (a batch norm's running mean, …) by name, sorted by name.
///
/// ```
/// use catena_tensor::params::buffers;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::batch_norm1d(vs.root() / "bn", 4, Default::default());
/// let names: Vec<String> = buffers(&vs).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["bn.running_mean", "bn.running_var"]);
/// ```
pub fn buffers(vs: &VarStore) -> Vec<(String, Tensor)> {
    let trained: HashSet<usize> = vs.trainable_variables().iter().map(identity).collect();
    let mut all = state_dict(vs);
    all.retain(|(_, tensor)| !trained.contains(&identity(tensor)));
    all
}

/// Which names a glob pattern matches; an error if it matches none.
///
/// `*` is any run of characters (dots included), `?` one character, `[ab]` one of several.
///
/// ```
/// use catena_tensor::params::matching;
///
/// let names = ["fc1.bias", "fc1.weight", "fc2.bias"];
/// assert_eq!(matching("*.bias", names)?, [true, false, true]);
/// assert!(matching("*.scale", names).unwrap_err().to_string().contains("matches no parameter"));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn matching<'a>(pattern: &str, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<bool>> {
    let glob = glob::Pattern::new(pattern)
        .map_err(|e| Error::Pattern { pattern: pattern.to_owned(), why: e.msg.to_owned() })?;
    let names: Vec<&str> = names.into_iter().collect();
    let matched: Vec<bool> = names.iter().map(|name| glob.matches(name)).collect();
    if !matched.contains(&true) {
        let known = names.into_iter().map(str::to_owned).collect();
        return Err(Error::NoParameter { pattern: pattern.to_owned(), known });
    }
    Ok(matched)
}
