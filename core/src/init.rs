//! Starting from another model's weights: partial and renamed loads, with a report.
use std::fmt;
use std::path::Path;

use catena_native::tensor::copy_;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::params::{check_values, shared, state_dict};
use crate::{Error, Result};

/// Weights to start a model from, and how their names become the model's.
///
/// Unlike a resume this takes nothing but parameters and buffers, and takes what fits. The model keeps its dtypes and devices.
/// A variable with several names (tied weights) may come under one of them or under all; differing values are an error.
///
/// ```
/// use catena_tensor::init::InitFrom;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _ = nn::linear(vs.root() / "head", 4, 2, Default::default());
/// let weights = vec![
///     ("classifier.weight".to_owned(), Tensor::ones([2, 4], (Kind::Float, Device::Cpu))),
///     ("encoder.weight".to_owned(), Tensor::ones([9, 9], (Kind::Float, Device::Cpu))),
/// ];
/// let report = InitFrom::tensors(weights).rename("classifier.", "head.").load(&vs)?;
/// assert_eq!(report.matched, ["head.weight"]);
/// assert_eq!(report.missing, ["head.bias"]);
/// assert_eq!(report.unexpected, ["encoder.weight"]);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct InitFrom {
    tensors: Vec<(String, Tensor)>,
    renames: Vec<(String, String)>,
    strict: bool,
}

/// What came of it, by the model's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InitReport {
    /// Variables that were loaded.
    pub matched: Vec<String>,
    /// Variables of the model that the weights lack, under each of their names; they stay as they are.
    pub missing: Vec<String>,
    /// Weights that the model has no variable for. The `num_batches_tracked` of PyTorch's batch norm is left out: tch's has no
    /// such buffer, and PyTorch uses it with `momentum=None` only.
    pub unexpected: Vec<String>,
    /// Variables of another shape: the model's, then the weights'; they stay as they are.
    pub shapes: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Variables that were loaded and converted: the model's dtype, then the weights'.
    pub converted: Vec<(String, Kind, Kind)>,
}

impl InitReport {
    /// Whether every variable was loaded as it is, and nothing was left over.
    pub fn is_complete(&self) -> bool {
        let Self { matched: _, missing, unexpected, shapes, converted } = self;
        missing.is_empty() && unexpected.is_empty() && shapes.is_empty() && converted.is_empty()
    }
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matched", self.matched.len())?;
        let mut list = |what: &str, names: Vec<String>| match names.as_slice() {
            [] => Ok(()),
            names => write!(f, "; {} {what}: {}", names.len(), names.join(", ")),
        };
        list("missing", self.missing.clone())?;
        list("unexpected", self.unexpected.clone())?;
        let shapes =
            self.shapes.iter().map(|(name, model, weights)| format!("{name} {model:?} from {weights:?}"));
        list("of another shape", shapes.collect())?;
        let converted =
            self.converted.iter().map(|(name, model, weights)| format!("{name} {weights:?} to {model:?}"));
        list("converted", converted.collect())
    }
}

impl InitFrom {
    /// From a safetensors file, such as one of PyTorch's; or a snapshot's folder, whose `model.safetensors` it takes.
    pub fn file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
        let read = Tensor::read_safetensors(&path);
        let mut tensors = read.map_err(|why| Error::Read {
            path: path.display().to_string(),
            why: Error::from(why).to_string(),
        })?;
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self::tensors(tensors))
    }

    /// From tensors by name.
    pub fn tensors(tensors: Vec<(String, Tensor)>) -> Self {
        Self { tensors, renames: Vec::new(), strict: false }
    }

    /// Names that begin with `from` begin with `to` in the model. The first one that fits is applied.
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.renames.push((from.into(), to.into()));
        self
    }

    /// Refuses weights that do not fit in every name, shape and dtype; the model stays as it is then.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn renamed(&self, name: &str) -> String {
        let fits = |(from, to): &(String, String)| Some(format!("{to}{}", name.strip_prefix(from.as_str())?));
        self.renames.iter().find_map(fits).unwrap_or_else(|| name.to_owned())
    }

    /// Loads what fits into the variables, and tells what did. Nothing is changed if there is an error.
    pub fn load(self, vs: &VarStore) -> Result<InitReport> {
        let variables = state_dict(vs);
        let mut report = InitReport::default();
        let mut fitting = Vec::new();
        let mut found = vec![false; variables.len()];
        for (name, tensor) in &self.tensors {
            let name = self.renamed(name);
            let Some(at) = variables.iter().position(|(own, _)| *own == name) else {
                if !counts_batches(&name, &variables) {
                    report.unexpected.push(name);
                }
                continue;
            };
            if std::mem::replace(&mut found[at], true) {
                return Err(Error::Init(format!("two of the weights are for `{name}`; look at the renames")));
            }
            let variable = &variables[at].1;
            if variable.size() != tensor.size() {
                report.shapes.push((name, variable.size(), tensor.size()));
                continue;
            }
            let (own, kind) = (variable.f_kind()?, tensor.f_kind()?);
            if own != kind {
                report.converted.push((name.clone(), own, kind));
            }
            report.matched.push(name.clone());
            // in the model's dtype, in which values for two names of one tensor have to be the same
            fitting.push((variable, (name, tensor.f_to_kind(own)?)));
        }
        let is_there = |name: &String| report.matched.contains(name);
        let tied = shared(vs);
        let comes_by_another =
            |name: &String| tied.iter().any(|names| names.contains(name) && names.iter().any(is_there));
        report.missing = variables
            .iter()
            .zip(&found)
            .filter(|((name, _), found)| !**found && !comes_by_another(name))
            .map(|((name, _), _)| name.clone())
            .collect();
        let (variables, values): (Vec<&Tensor>, Vec<(String, Tensor)>) = fitting.into_iter().unzip();
        check_values(vs, &values)?;
        if self.strict && !report.is_complete() {
            return Err(Error::Init(format!("the weights do not fit the model: {report}")));
        }
        for (variable, (_, tensor)) in variables.into_iter().zip(&values) {
            copy_(&variable.f_detach()?, tensor, false)?;
        }
        Ok(report)
    }
}

/// Whether it is PyTorch's count of the batches that one of the model's batch norms has seen.
fn counts_batches(name: &str, variables: &[(String, Tensor)]) -> bool {
    let layer = name.strip_suffix("num_batches_tracked");
    layer.is_some_and(|layer| variables.iter().any(|(own, _)| *own == format!("{layer}running_mean")))
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn};

    use super::*;

    fn model() -> VarStore {
        let vs = VarStore::new(Device::Cpu);
        let _ = nn::linear(vs.root() / "fc", 4, 2, Default::default());
        vs
    }

    fn ones(name: &str, size: &[i64], kind: Kind) -> (String, Tensor) {
        (name.to_owned(), Tensor::ones(size, (kind, Device::Cpu)))
    }

    #[test]
    fn what_does_not_fit_is_told_and_what_fits_is_loaded_in_the_models_dtype() {
        let vs = model();
        let before = vs.variables()["fc.weight"].copy();
        let weights = vec![
            ones("fc.weight", &[4, 2], Kind::Float),
            ones("fc.bias", &[2], Kind::Double),
            ones("other", &[1], Kind::Float),
        ];
        let report = InitFrom::tensors(weights).load(&vs).unwrap();
        assert_eq!(
            report.to_string(),
            "1 matched; 1 unexpected: other; 1 of another shape: fc.weight [2, 4] from [4, 2]; 1 converted: fc.bias Double to Float"
        );
        let after = vs.variables();
        assert_eq!(after["fc.weight"], before);
        assert_eq!(after["fc.bias"], Tensor::ones([2], (Kind::Float, Device::Cpu)));
    }

    #[test]
    fn strict_changes_nothing_unless_everything_fits() {
        let vs = model();
        let before = vs.variables()["fc.bias"].copy();
        let error =
            InitFrom::tensors(vec![ones("fc.bias", &[2], Kind::Float)]).strict().load(&vs).unwrap_err();
        assert_eq!(error.to_string(), "the weights do not fit the model: 1 matched; 1 missing: fc.weight");
        assert_eq!(vs.variables()["fc.bias"], before);
    }

    #[test]
    fn two_weights_for_one_variable_are_refused() {
        let weights = vec![ones("fc.bias", &[2], Kind::Float), ones("old.bias", &[2], Kind::Float)];
        let error = InitFrom::tensors(weights).rename("old.", "fc.").load(&model()).unwrap_err();
        assert_eq!(error.to_string(), "two of the weights are for `fc.bias`; look at the renames");
    }

    fn tied() -> VarStore {
        let vs = VarStore::new(Device::Cpu);
        let w = vs.root().zeros("embed", &[2]);
        let _ = vs.root().add("head", w, true);
        vs
    }

    #[test]
    fn tied_weights_come_by_one_name_or_by_both_with_the_same_values() {
        let load = |weights: Vec<(String, Tensor)>| {
            let vs = tied();
            let report = InitFrom::tensors(weights).strict().load(&vs);
            (report, vs.variables()["embed"].double_value(&[0]))
        };
        for kind in [Kind::Float, Kind::Double] {
            let (report, value) = load(vec![ones("embed", &[2], Kind::Float), ones("head", &[2], kind)]);
            assert_eq!(
                (report.is_ok(), value),
                (kind == Kind::Float, f64::from(u8::from(kind == Kind::Float)))
            );
        }
        let (report, value) = load(vec![ones("head", &[2], Kind::Float)]);
        assert_eq!((report.unwrap().matched, value), (vec!["head".to_owned()], 1.0));
        let (error, value) =
            load(vec![ones("head", &[2], Kind::Float), ("embed".into(), Tensor::from_slice(&[1f32, 2.0]))]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "`embed` and `head` are names of one tensor, but they come with different values; give both the same values, or leave \
             one out"
        );
        assert_eq!(value, 0.0, "nothing is changed");
    }

    #[test]
    fn pytorchs_count_of_a_batch_norms_batches_is_expected_where_there_is_a_batch_norm() {
        let vs = VarStore::new(Device::Cpu);
        let _ = nn::batch_norm1d(vs.root() / "bn", 2, Default::default());
        let mut weights = state_dict(&vs);
        weights.push(("old.num_batches_tracked".into(), Tensor::from(7i64)));
        let load = |rename| {
            let weights = weights.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
            InitFrom::tensors(weights.collect()).rename("old.", rename).load(&vs).unwrap()
        };
        assert!(load("bn.").is_complete());
        assert_eq!(load("fc.").unexpected, ["fc.num_batches_tracked"]);
    }
}
