//! From a score for each class to one number, or one for each.
use catena_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::metric::Computed;
use crate::settings::Table;

/// How scores of classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Over all items, whatever their class.
    Micro,
    /// The mean over classes, each counting the same.
    Macro,
    /// The mean over classes, each counting by its items.
    Weighted,
    /// None: a number for each class, `f1_score/0`, `f1_score/1`, ….
    None,
}

impl Average {
    /// The setting `average`; null is [`Average::None`].
    pub(crate) fn setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting_or("average", self, Self::None)
    }

    /// The numbers that classes have, if there is one for each.
    pub(crate) fn parts(self, classes: i64) -> Vec<String> {
        match self {
            Self::None if classes > 1 => (0..classes).map(|class| class.to_string()).collect(),
            _ => vec![String::new()],
        }
    }
}

/// The mean of `scores` by `weights`; 0 if nothing counts.
pub(crate) fn mean(scores: &[f64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        return 0.0;
    }
    scores.iter().zip(weights).map(|(score, weight)| score * weight / total).sum()
}

/// The mean of `scores` by `weights`; NaN if nothing counts.
pub(crate) fn mean_or_nan(scores: &[f64], weights: &[f64]) -> f64 {
    if weights.iter().sum::<f64>() == 0.0 { f64::NAN } else { mean(scores, weights) }
}

/// The mean over the scores that are numbers, by `weights`.
pub(crate) fn mean_of_known(scores: &[f64], weights: &[f64]) -> f64 {
    let known: Vec<(f64, f64)> =
        scores.iter().copied().zip(weights.iter().copied()).filter(|(score, _)| !score.is_nan()).collect();
    if known.is_empty() {
        return f64::NAN;
    }
    let (scores, weights): (Vec<f64>, Vec<f64>) = known.into_iter().unzip();
    mean(&scores, &weights)
}

/// One number, or one for each class.
pub(crate) fn each(scores: Vec<f64>) -> Computed {
    match scores[..] {
        [score] => Computed::Number(score),
        _ => Computed::numbered(scores),
    }
}
