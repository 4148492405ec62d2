//! How far probabilities are from frequencies.
use catena_tensor::Result;
use catena_tensor::settings::Range;
use catena_tensor::tch::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classification::items::Items;
use crate::classification::labels::Labels;
use crate::classification::task::Task;
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::setters::setters;
use crate::settings::{ByName, Table, require, written};
use crate::weights::count;

/// How the errors of bins become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationNorm {
    /// The mean by weight: expected calibration error.
    L1,
    /// The root of the mean square.
    L2,
    /// The largest: maximum calibration error.
    Max,
}

/// The difference between confidence and frequency, over bins of equal width.
///
/// Binary: the probability of yes, against its frequency. Multiclass: the highest probability, against how often it is right.
/// NaN if a score is.
/// Source: `torchmetrics.functional.classification.calibration_error`.
///
/// ```
/// use catena_metrics::{CalibrationError, Meter, Seen, Task};
/// use catena_tensor::tch::Tensor;
///
/// let mut error = Meter::new(CalibrationError::new(Task::Binary).n_bins(2));
/// let (scores, labels) = (Tensor::from_slice(&[0.25, 0.25, 0.75, 0.75]), Tensor::from_slice(&[0i64, 0, 1, 1]));
/// error.update(&Seen::new(&scores).target(&labels))?;
/// assert_eq!(error.compute()?.number(), Some(0.25));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CalibrationError {
    labels: Labels,
    n_bins: i64,
    norm: CalibrationNorm,
}

impl CalibrationError {
    /// With 15 bins and the L1 norm.
    pub fn new(task: Task) -> Self {
        let (labels, norm) = (Labels::new(task), CalibrationNorm::L1);
        Self { labels, n_bins: 15, norm }
    }

    /// How many bins (default 15).
    #[must_use]
    pub fn n_bins(mut self, n_bins: i64) -> Self {
        self.n_bins = n_bins;
        self
    }

    /// How the errors of bins become one (default L1).
    #[must_use]
    pub fn norm(mut self, norm: CalibrationNorm) -> Self {
        self.norm = norm;
        self
    }

    setters! { ignore_index(labels.ignore_index) logits(labels.logits) }

    /// Weight, confidence and frequency by bin, `[3, bins + 1]`; a confidence of 1 has a bin of its own.
    fn bins(&self, scores: &Tensor, items: &Items) -> Result<Tensor> {
        let (confidence, right) = match self.labels.task {
            Task::Multiclass(_) => {
                let (confidence, best) = scores.f_max_dim(1, false)?;
                (confidence, best.f_eq_tensor(&items.target)?)
            }
            _ => (scores.shallow_clone(), items.target.f_eq(1)?),
        };
        // a weight of 0 times NaN would be NaN
        let counts = items.weight.f_ne(0)?;
        let confidence = confidence.f_where_self(&counts, &confidence.f_zeros_like()?)?;
        let bounds =
            Tensor::f_linspace(0.0, 1.0, self.n_bins + 1, (confidence.f_kind()?, confidence.device()))?;
        let bin = confidence.f_contiguous()?.f_bucketize(&bounds, false, true)?.f_sub_scalar(1)?;
        let bin = bin.f_clamp(0, self.n_bins)?;
        let weight = &items.weight;
        let sums = [
            count(&bin, weight, self.n_bins + 1)?,
            count(&bin, &weight.f_mul(&confidence)?, self.n_bins + 1)?,
            count(&bin, &weight.f_mul(&right)?, self.n_bins + 1)?,
        ];
        Ok(Tensor::f_stack(&sums, 0)?)
    }
}

impl ByName for CalibrationError {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        self.labels.each_setting(table)?;
        table.setting("n_bins", &mut self.n_bins)?;
        table.setting("norm", &mut self.norm)
    }
}

impl Metric for CalibrationError {
    fn name(&self) -> &str {
        "calibration_error"
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        self.labels.check(self.name())?;
        let one = !matches!(self.labels.task, Task::Multilabel(_));
        require(one, self.name(), "task", "multilabel", "binary or multiclass")?;
        Range::Count(1).check(self.name(), "n_bins", self.n_bins as f64)
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        Labels::need_scores(seen, self.name())?;
        let items = self.labels.items(seen, memory)?;
        let readings = self.labels.readings(&items, memory)?;
        let each = (0..readings.size()[0]).map(|i| self.bins(&readings.f_select(0, i)?, &items));
        let bins = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        memory.add("bins", bins)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        self.labels.check_seen(memory)?;
        let Some(sums) = self.labels.read_sums(memory, "bins")? else {
            return Ok(Computed::Number(f64::NAN));
        };
        let bins = self.n_bins as usize + 1;
        let all: f64 = sums[..bins].iter().sum();
        let apart = (0..bins).filter(|&i| sums[i] > 0.0).map(|i| {
            let (weight, confidence, right) = (sums[i], sums[bins + i], sums[2 * bins + i]);
            ((right / weight - confidence / weight).abs(), weight / all)
        });
        // the bins themselves leave out what has a NaN
        if all == 0.0 || all.is_nan() {
            return Ok(Computed::Number(f64::NAN));
        }
        Ok(Computed::Number(match self.norm {
            CalibrationNorm::L1 => apart.map(|(apart, share)| apart * share).sum(),
            CalibrationNorm::L2 => apart.map(|(apart, share)| apart * apart * share).sum::<f64>().sqrt(),
            CalibrationNorm::Max => apart.map(|(apart, _)| apart).fold(0.0, f64::max),
        }))
    }
}
