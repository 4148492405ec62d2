//! A model's parameters and buffers by name, each tensor once, in an order that stays.
//!
//! tch keeps names in a hash map, whose order changes from process to process, and the trainable variables, in order of
//! creation, without names. Here both come together.
//!
//! A tensor may be registered under several names: tied weights, such as an embedding that is the output layer's weight too. It is
//! one variable all the same. It goes by its **first name in sorted order** (which of its names came first can't be known from a
//! [`VarStore`], and sorted order is the same in every process); every pattern finds it by any of its names, and files hold it
//! under each.
mod shared;

use std::collections::HashSet;

use catena_native::tensor::identity;
use tch::Tensor;
use tch::nn::VarStore;

pub use self::shared::{check_can_be_saved, check_memory, check_values, shared};
use crate::error::{Error, Result};

/// A trainable variable and its names.
#[derive(Debug)]
pub struct Parameter {
    /// The name it goes by in the var store, such as `fc1.weight`: of several the first in sorted order.
    pub name: String,
    /// Its other names, sorted. Most variables have none.
    pub aliases: Vec<String>,
    /// The variable itself, shared with the model.
    pub tensor: Tensor,
}

impl Parameter {
    /// Of one name.
    pub fn new(name: impl Into<String>, tensor: Tensor) -> Self {
        Self { name: name.into(), aliases: Vec::new(), tensor }
    }

    /// All its names, the one it goes by first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }
}

/// The trainable variables, each once, in order of creation.
///
/// ```
/// use catena_tensor::params::parameters;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let fc = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let names: Vec<String> = parameters(&vs).into_iter().map(|p| p.name).collect();
/// assert_eq!(names, ["fc.bias", "fc.weight"]); // tch creates a layer's bias first
///
/// let _ = (vs.root() / "tied").add("weight", fc.ws.shallow_clone(), true);
/// let all = parameters(&vs);
/// assert_eq!(all.len(), 2);
/// assert_eq!((&*all[1].name, &*all[1].aliases), ("fc.weight", &["tied.weight".to_owned()][..]));
/// ```
pub fn parameters(vs: &VarStore) -> Vec<Parameter> {
    let variables = vs.variables_.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut names = shared::names(&variables.named_variables);
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for (i, var) in variables.trainable_variables.iter().enumerate() {
        let of = identity(&var.tensor);
        if !seen.insert(of) {
            continue;
        }
        let mut names = names.remove(&of).unwrap_or_default().into_iter();
        let name = names.next().unwrap_or_else(|| format!("unnamed.{i}"));
        all.push(Parameter { name, aliases: names.collect(), tensor: var.tensor.shallow_clone() });
    }
    all
}

/// Parameters and buffers (a batch norm's running mean, …) by name, sorted by name: what a file holds, so a tensor with several
/// names stands under each, as in PyTorch's `state_dict`. For what is counted, changed or hashed there is [`variables`].
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

/// Parameters and buffers, each tensor once, by the name it goes by, sorted by name.
///
/// ```
/// use catena_tensor::params::{state_dict, variables};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let w = vs.root().ones("embed", &[4]);
/// let _ = vs.root().add("decode", w.shallow_clone(), true);
/// assert_eq!(state_dict(&vs).len(), 2);
/// assert_eq!(variables(&vs).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["decode"]);
/// ```
pub fn variables(vs: &VarStore) -> Vec<(String, Tensor)> {
    let mut seen = HashSet::new();
    let mut all = state_dict(vs);
    all.retain(|(_, tensor)| seen.insert(identity(tensor)));
    all
}

/// The variables that no optimizer trains (a batch norm's running mean, …), each once, sorted by name.
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
    let mut all = variables(vs);
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

/// The buffers that one of these glob patterns matches by any of their names, each once; patterns that match none are no error here.
pub fn matching_buffers(patterns: &[String], vs: &VarStore) -> Vec<Tensor> {
    let globs: Vec<glob::Pattern> =
        patterns.iter().filter_map(|pattern| glob::Pattern::new(pattern).ok()).collect();
    let named = vs.variables();
    let matched: HashSet<usize> = named
        .iter()
        .filter(|(name, _)| globs.iter().any(|glob| glob.matches(name)))
        .map(|(_, tensor)| identity(tensor))
        .collect();
    let all = buffers(vs).into_iter().map(|(_, tensor)| tensor);
    all.filter(|tensor| matched.contains(&identity(tensor))).collect()
}

/// Which parameters a glob pattern matches by any of their names; an error if it matches none.
///
/// ```
/// use catena_tensor::params::{matching_parameters, parameters};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let w = vs.root().ones("embed", &[4]);
/// let _ = vs.root().add("decode", w.shallow_clone(), true);
/// let all = parameters(&vs);
/// assert_eq!(matching_parameters("embed", &all)?, matching_parameters("decode", &all)?);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn matching_parameters(pattern: &str, params: &[Parameter]) -> Result<Vec<bool>> {
    let mut matched = matching(pattern, params.iter().flat_map(Parameter::names))?.into_iter();
    Ok(params
        .iter()
        .map(|param| matched.by_ref().take(1 + param.aliases.len()).fold(false, |any, one| any | one))
        .collect())
}
