//! What came of starting from another model's weights.
use std::fmt;

use tch::Kind;

/// What came of a start from other weights, by the model's names.
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

    /// What does not fit, by its first few names.
    pub(super) fn in_short(&self) -> String {
        let shapes: Vec<String> = self
            .shapes
            .iter()
            .map(|(name, model, weights)| {
                format!("{name} (the model's is {model:?}, the weights' {weights:?})")
            })
            .collect();
        let mut all = Vec::new();
        for (what, names) in [
            ("missing in the weights", &self.missing),
            ("not in the model", &self.unexpected),
            ("of another shape", &shapes),
        ] {
            if !names.is_empty() {
                all.push(format!("{} {what}: {}", names.len(), first(names)));
            }
        }
        all.join("; ")
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

/// The first few names.
pub(super) fn first(names: &[impl AsRef<str>]) -> String {
    let some: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    let rest =
        if names.len() > some.len() { format!(", … ({} in all)", names.len()) } else { String::new() };
    if some.is_empty() { "none".into() } else { some.join(", ") + &rest }
}
