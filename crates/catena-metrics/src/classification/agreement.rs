//! How far targets and decisions agree, from their confusion matrix, row by row.
use serde::{Deserialize, Serialize};

/// How far apart two classes are, for Cohen's kappa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// All the same.
    None,
    /// The difference of their numbers.
    Linear,
    /// Its square.
    Quadratic,
}

pub(crate) fn rows(matrix: &[f64], n: usize) -> Vec<f64> {
    matrix.chunks(n).map(|row| row.iter().sum()).collect()
}

pub(crate) fn columns(matrix: &[f64], n: usize) -> Vec<f64> {
    (0..n).map(|column| matrix.iter().skip(column).step_by(n).sum()).collect()
}

/// Matthews' correlation coefficient of an `n` by `n` matrix.
pub(crate) fn matthews(matrix: &[f64], n: usize) -> f64 {
    let (targets, decisions) = (rows(matrix, n), columns(matrix, n));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (right, all) = (matrix.iter().step_by(n + 1).sum::<f64>(), targets.iter().sum::<f64>());
    let above = right * all - dot(&targets, &decisions);
    let below = (all * all - dot(&decisions, &decisions)) * (all * all - dot(&targets, &targets));
    match *matrix {
        [tn, fp, fn_, tp] if n == 2 => of_two([tn, fp, fn_, tp], above, below),
        _ if below <= 0.0 => 0.0,
        _ => above / below.sqrt(),
    }
}

/// Where a row or a column is empty, the limit that torchmetrics takes (Chicco and Jurman 2020), with the epsilon of f64.
fn of_two([tn, fp, fn_, tp]: [f64; 4], above: f64, below: f64) -> f64 {
    if tp + tn != 0.0 && fp + fn_ == 0.0 {
        return 1.0;
    }
    if tp + tn == 0.0 && fp + fn_ != 0.0 {
        return -1.0;
    }
    if below > 0.0 {
        return above / below.sqrt();
    }
    let eps = f64::EPSILON;
    let above = if fn_ == 0.0 && tn == 0.0 {
        tp - fp
    } else if fp == 0.0 && tn == 0.0 {
        tp - fn_
    } else if tp == 0.0 && fn_ == 0.0 {
        tn - fp
    } else {
        tn - fn_
    };
    let below = (tp + fp + eps) * (tp + fn_ + eps) * (tn + fp + eps) * (tn + fn_ + eps);
    eps.sqrt() * above / below.sqrt()
}

/// Cohen's kappa of an `n` by `n` matrix.
pub(crate) fn kappa(matrix: &[f64], n: usize, weights: KappaWeights) -> f64 {
    let (targets, decisions) = (rows(matrix, n), columns(matrix, n));
    let all: f64 = targets.iter().sum();
    let (mut seen, mut by_chance) = (0.0, 0.0);
    for (i, cell) in matrix.iter().enumerate() {
        let apart = (i / n).abs_diff(i % n) as f64;
        let weight = match weights {
            KappaWeights::None => f64::from(apart > 0.0),
            KappaWeights::Linear => apart,
            KappaWeights::Quadratic => apart * apart,
        };
        seen += weight * cell;
        by_chance += weight * targets[i / n] * decisions[i % n] / all;
    }
    1.0 - seen / by_chance
}
