//! Pearson's and Spearman's correlation.
use catena_tensor::Result;
use catena_tensor::tch::Tensor;
use serde_json::Value;

use crate::average::each;
use crate::host::host;
use crate::memory::Memory;
use crate::memory::moments::Moments;
use crate::metric::{Computed, Metric, Seen};
use crate::regression::errors::columns;
use crate::settings::{ByName, written};

/// Pearson's correlation, or Spearman's (Pearson's of the ranks), for each output.
///
/// Constant values have NaN, and so have values with a NaN among them. Pearson's keeps six numbers an output, and a large mean costs no digits; Spearman's keeps every
/// value until the loader's end, ties have the mean of their ranks, and a weight says only whether an item counts. Source:
/// `torchmetrics.functional.regression` (`pearson_corrcoef`, `spearman_corrcoef`), without the latter's epsilon.
///
/// ```
/// use catena_metrics::{Correlation, Meter, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut spearman = Meter::new(Correlation::spearman());
/// spearman.update(&Seen::new(&Tensor::from_slice(&[1.0, 2.0, 9.0])).target(&Tensor::from_slice(&[0.1, 0.2, 0.3])))?;
/// assert_eq!(spearman.compute()?.number(), Some(1.0));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Correlation {
    ranks: bool,
}

impl Correlation {
    /// Pearson's.
    pub fn pearson() -> Self {
        Self { ranks: false }
    }

    /// Spearman's.
    pub fn spearman() -> Self {
        Self { ranks: true }
    }
}

impl ByName for Correlation {}

impl Metric for Correlation {
    fn name(&self) -> &str {
        if self.ranks { "spearman_corrcoef" } else { "pearson_corrcoef" }
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn parts(&self) -> Option<Vec<String>> {
        None
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let [input, target, weight] = columns(seen, None, memory)?;
        if !self.ranks {
            return memory.pairs("moments", &input, &target, &weight);
        }
        memory.push("input", &input)?;
        memory.push("target", &target)?;
        memory.push("weight", &weight)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let of = |m: &Moments| (0..m.weight.len()).map(|i| correlation(m, i)).collect::<Vec<f64>>();
        if !self.ranks {
            let moments = memory.moments("moments")?;
            return Ok(moments.map_or(Computed::Number(f64::NAN), |moments| each(of(&moments))));
        }
        let rows = |name| memory.get(name);
        let (Some(input), Some(target), Some(weight)) = (rows("input")?, rows("target")?, rows("weight")?)
        else {
            return Ok(Computed::Number(f64::NAN));
        };
        let outputs = input.size().get(1).copied().unwrap_or(1);
        let column = |of: &Tensor, i: i64| host(&of.f_select(1, i)?);
        let one = |i: i64| -> Result<f64> {
            let counts = column(&weight, i)?;
            let valid = |of: Vec<f64>| -> Vec<f64> {
                of.into_iter().zip(&counts).filter(|(_, weight)| **weight != 0.0).map(|(x, _)| x).collect()
            };
            let (x, y) = (ranks(&valid(column(&input, i)?)), ranks(&valid(column(&target, i)?)));
            let mut memory = Memory::default();
            let tensor = |of: &[f64]| -> Result<Tensor> { Ok(Tensor::f_from_slice(of)?.f_reshape([-1, 1])?) };
            let (x, y) = (tensor(&x)?, tensor(&y)?);
            memory.pairs("ranks", &x, &y, &x.f_ones_like()?)?;
            Ok(memory.moments("ranks")?.map_or(f64::NAN, |moments| of(&moments)[0]))
        };
        Ok(each((0..outputs).map(one).collect::<Result<_>>()?))
    }
}

fn correlation(m: &Moments, i: usize) -> f64 {
    let constant =
        is_constant(m.xx[i], m.mean_x[i], m.weight[i]) || is_constant(m.yy[i], m.mean_y[i], m.weight[i]);
    if m.items[i] < 2.0 || constant {
        return f64::NAN;
    }
    let product = m.xx[i] * m.yy[i];
    // one root loses fewer bits than two, where the product is a number
    let scale = if product.is_normal() { product.sqrt() } else { m.xx[i].sqrt() * m.yy[i].sqrt() };
    (m.xy[i] / scale).clamp(-1.0, 1.0)
}

/// Ranks from 1; equal values have the mean of theirs. A NaN makes all ranks NaN.
fn ranks(values: &[f64]) -> Vec<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return vec![f64::NAN; values.len()];
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (ties.len() as f64 + 1.0) / 2.0;
        ties.iter().for_each(|&i| ranks[i] = rank);
        first += ties.len();
    }
    ranks
}

/// Whether so small a sum of squares is only the rounding of a constant.
pub(crate) fn is_constant(square: f64, mean: f64, weight: f64) -> bool {
    square <= weight * (mean * 4.0 * f64::EPSILON).powi(2)
}
