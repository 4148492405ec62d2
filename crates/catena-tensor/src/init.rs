//! Starting from another model's weights: partial and renamed loads, with a report.
mod report;

use std::path::Path;

use catena_native::tensor::copy_;
use tch::Tensor;
use tch::nn::VarStore;

pub use report::InitReport;

use self::report::first;
use crate::convert;
use crate::error::{Error, Result};
use crate::params::{check_values, shared, state_dict};
use crate::tensor_file::TensorFile;

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

impl InitFrom {
    /// From a safetensors file, such as one of PyTorch's; or a snapshot's folder, whose `model.safetensors` it takes.
    pub fn file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
        Ok(Self::tensors(TensorFile::read(&path)?.tensors))
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

    /// Names that begin with `prefix` are those of the model without it: `module.` of PyTorch's `DistributedDataParallel`, `_orig_mod.`
    /// of `torch.compile`. Short for a [`InitFrom::rename`] to nothing.
    #[must_use]
    pub fn strip_prefix(self, prefix: impl Into<String>) -> Self {
        self.rename(prefix, "")
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

    /// Loads what fits into the variables, and tells what did; what did not is a warning in the log too. That nothing fits is an
    /// error, and so is a value that the model's dtype does not have. Nothing is changed if there is an error.
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
                convert::check(&name, tensor, own)?;
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
        let (fitting, values): (Vec<&Tensor>, Vec<(String, Tensor)>) = fitting.into_iter().unzip();
        check_values(vs, &values)?;
        if self.strict && !report.is_complete() {
            return Err(Error::Init(format!("the weights do not fit the model: {report}")));
        }
        if report.matched.is_empty() {
            return Err(Error::Init(self.nothing_fits(&variables, &report)));
        }
        let InitReport { matched, missing, unexpected, shapes, converted: _ } = &report;
        if !(missing.is_empty() && unexpected.is_empty() && shapes.is_empty()) {
            log::warn!(
                "the weights are for {} of the model's {} variables, and the others stay as they are: {}",
                matched.len(),
                variables.len(),
                report.in_short()
            );
        }
        for (variable, (_, tensor)) in fitting.into_iter().zip(&values) {
            copy_(&variable.f_detach()?, tensor, false)?;
        }
        Ok(report)
    }

    fn nothing_fits(&self, variables: &[(String, Tensor)], report: &InitReport) -> String {
        let own: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let names: Vec<String> = self.tensors.iter().map(|(name, _)| self.renamed(name)).collect();
        let text =
            format!("none of the {} weights is for one of the model's {} variables", names.len(), own.len());
        if !report.shapes.is_empty() {
            return format!("{text}: {}", report.in_short());
        }
        let both = format!("the weights are {}; the model has {}", first(&names), first(&own));
        let prefix = names.first().and_then(|name| {
            let ends = name.match_indices('.').map(|(at, _)| &name[..=at]);
            let fits = |prefix: &&str| {
                let stripped = |name: &String| name.strip_prefix(*prefix).map(str::to_owned);
                names.iter().filter_map(stripped).any(|name| own.contains(&name.as_str()))
            };
            ends.into_iter().find(fits)
        });
        match prefix {
            Some(prefix) => {
                format!("{text}: {both}. Strip what stands before the names, by `.strip_prefix({prefix:?})`")
            }
            None => format!("{text}: {both}. Make their names the model's, by `.rename(from, to)`"),
        }
    }
}

/// Whether it is PyTorch's count of the batches that one of the model's batch norms has seen.
fn counts_batches(name: &str, variables: &[(String, Tensor)]) -> bool {
    let layer = name.strip_suffix("num_batches_tracked");
    layer.is_some_and(|layer| variables.iter().any(|(own, _)| *own == format!("{layer}running_mean")))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn};

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
    fn weights_of_which_none_fits_are_an_error_that_says_how_to_strip_a_prefix() {
        let vs = model();
        let wrapped = |prefix: &str| {
            ["fc.bias", "fc.weight"].map(|name| {
                let size: &[i64] = if name == "fc.bias" { &[2] } else { &[2, 4] };
                ones(&format!("{prefix}{name}"), size, Kind::Float)
            })
        };
        for prefix in ["module.", "_orig_mod.module."] {
            let error = InitFrom::tensors(wrapped(prefix).into()).load(&vs).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "none of the 2 weights is for one of the model's 2 variables: the weights are {prefix}fc.bias, {prefix}fc.weight; \
                     the model has fc.bias, fc.weight. Strip what stands before the names, by `.strip_prefix({prefix:?})`"
                )
            );
            let init = InitFrom::tensors(wrapped(prefix).into()).strip_prefix(prefix);
            assert!(init.load(&vs).unwrap().is_complete());
        }
        let other = (0..9).map(|i| ones(&format!("layer.{i}"), &[2], Kind::Float)).collect();
        let error = InitFrom::tensors(other).load(&vs).unwrap_err().to_string();
        assert!(
            error.contains("the weights are layer.0, layer.1, layer.2, … (9 in all); the model has"),
            "{error}"
        );
        assert!(error.ends_with("Make their names the model's, by `.rename(from, to)`"), "{error}");
        assert!(
            InitFrom::tensors(Vec::new()).load(&vs).unwrap_err().to_string().contains("the weights are none")
        );
        let error =
            InitFrom::tensors(vec![ones("fc.bias", &[3], Kind::Float)]).load(&vs).unwrap_err().to_string();
        assert!(
            error.contains("1 of another shape: fc.bias (the model's is [2], the weights' [3])"),
            "{error}"
        );
    }

    #[test]
    fn a_value_that_the_models_dtype_has_not_is_an_error_and_nothing_is_loaded() {
        let vs = model();
        let before = vs.variables()["fc.bias"].copy();
        let weights = vec![
            ones("fc.bias", &[2], Kind::Float),
            ("fc.weight".to_owned(), Tensor::full([2, 4], 1e300, (Kind::Double, Device::Cpu))),
        ];
        let error = InitFrom::tensors(weights).load(&vs).unwrap_err().to_string();
        assert!(
            error.starts_with("`fc.weight` can't be loaded: its value 1e300 at [0, 0] is of dtype Double"),
            "{error}"
        );
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
