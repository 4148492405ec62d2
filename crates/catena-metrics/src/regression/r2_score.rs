//! How much of a target's variance is explained.
use catena_tensor::Result;
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::average::{each, mean};
use crate::memory::Memory;
use crate::memory::moments::Moments;
use crate::metric::{Computed, Metric, Seen};
use crate::regression::correlation::is_constant;
use crate::regression::errors::columns;
use crate::settings::{ByName, Table, written};

/// How the R² of several outputs become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MultiOutput {
    /// They do not.
    RawValues,
    /// The mean.
    UniformAverage,
    /// The mean by the targets' variances.
    VarianceWeighted,
}

/// The coefficient of determination, 1 - (residual sum of squares) / (total sum of squares).
///
/// A constant target has 1 if it is met exactly, else 0 (as in scikit-learn); fewer than two items have NaN. Adjusted for `p`
/// regressors: 1 - (1 - R²)(n - 1)/(n - p - 1), where n > p + 1. Source: `torchmetrics.functional.r2_score`.
///
/// ```
/// use catena_metrics::{Meter, R2Score, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut r2 = Meter::new(R2Score::new());
/// r2.update(&Seen::new(&Tensor::from_slice(&[2.5, 0.0, 2.0, 8.0])).target(&Tensor::from_slice(&[3.0, -0.5, 2.0, 7.0])))?;
/// assert!((r2.compute()?.number().unwrap_or_default() - 0.9486081370449679).abs() < 1e-15);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct R2Score {
    adjusted: i64,
    multioutput: MultiOutput,
}

impl Default for R2Score {
    fn default() -> Self {
        Self { adjusted: 0, multioutput: MultiOutput::UniformAverage }
    }
}

impl R2Score {
    /// Not adjusted, the mean over outputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of independent regressors (default 0: not adjusted).
    #[must_use]
    pub fn adjusted(mut self, regressors: i64) -> Self {
        self.adjusted = regressors;
        self
    }

    /// How several outputs become one (default the mean).
    #[must_use]
    pub fn multioutput(mut self, multioutput: MultiOutput) -> Self {
        self.multioutput = multioutput;
        self
    }
}

impl ByName for R2Score {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        table.setting("adjusted", &mut self.adjusted)?;
        table.setting("multioutput", &mut self.multioutput)
    }
}

impl Metric for R2Score {
    fn name(&self) -> &str {
        "r2_score"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        Range::Count(0).check(self.name(), "adjusted", self.adjusted as f64)
    }

    fn parts(&self) -> Option<Vec<String>> {
        // how many outputs there are is not known before
        (self.multioutput != MultiOutput::RawValues).then(|| vec![String::new()])
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let [input, target, weight] = columns(seen, None, memory)?;
        let apart = target.f_sub(&input)?;
        let square = apart.f_mul(&apart)?;
        let square = square.f_where_self(&weight.f_ne(0)?, &square.f_zeros_like()?)?.f_mul(&weight)?;
        let residual = square.f_sum_dim_intlist(0i64, false, None)?;
        memory.add("residual", residual)?;
        memory.pairs("moments", &target, &target, &weight)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let residual = memory.numbers("residual")?;
        let Some(Moments { items, weight, mean_x, xx, .. }) = memory.moments("moments")? else {
            return Ok(Computed::Number(f64::NAN));
        };
        let n = weight.first().copied().unwrap_or(0.0);
        let one = |i: usize| match (residual[i], xx[i]) {
            _ if items[i] < 2.0 => f64::NAN,
            (residual, _) if residual.is_nan() => f64::NAN,
            (0.0, _) => 1.0,
            (_, total) if is_constant(total, mean_x[i], weight[i]) => 0.0,
            (residual, total) => 1.0 - residual / total,
        };
        let raw: Vec<f64> = (0..residual.len()).map(one).collect();
        let varies = |i: usize| !is_constant(xx[i], mean_x[i], weight[i]);
        let variances = match (0..raw.len()).any(varies) {
            true => (0..raw.len()).map(|i| if varies(i) { xx[i] } else { 0.0 }).collect(),
            // without any variance all count the same, as in scikit-learn
            false => vec![1.0; raw.len()],
        };
        let p = self.adjusted as f64;
        let adjust = |r2: f64| {
            if p == 0.0 || p >= n - 1.0 { r2 } else { 1.0 - (1.0 - r2) * (n - 1.0) / (n - p - 1.0) }
        };
        Ok(match self.multioutput {
            MultiOutput::RawValues => each(raw.into_iter().map(adjust).collect()),
            MultiOutput::UniformAverage => Computed::Number(adjust(mean(&raw, &vec![1.0; raw.len()]))),
            MultiOutput::VarianceWeighted => Computed::Number(adjust(mean(&raw, &variances))),
        })
    }
}
