//! Mean errors of regression: absolute, squared, percentage.
use catena_tensor::settings::Range;
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};
use serde_json::Value;

use crate::average::{Average, each};
use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::settings::{ByName, Table, written};
use crate::weights::weight_like;

/// MAE, MSE, RMSE or MAPE: the mean of an error over everything, or over each of several outputs.
///
/// Differences are taken in f64. NaN if a value that counts is. Source: `torchmetrics.functional.regression` (`mean_absolute_error`, `mean_squared_error`,
/// `mean_absolute_percentage_error`).
///
/// ```
/// use catena_metrics::{MeanError, Meter, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let mut mse = Meter::new(MeanError::squared());
/// for (said, is) in [([1.0, 2.0], [1.0, 4.0]), ([0.0, 0.0], [1.0, 1.0])] {
///     mse.update(&Seen::new(&Tensor::from_slice(&said)).target(&Tensor::from_slice(&is)))?;
/// }
/// assert_eq!(mse.compute()?.number(), Some(1.5));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MeanError {
    kind: Of,
    num_outputs: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Absolute,
    Squared,
    Root,
    Percentage {
        /// The least that a target's absolute value counts as a divisor.
        epsilon: f64,
    },
}

impl MeanError {
    fn new(kind: Of) -> Self {
        Self { kind, num_outputs: 1 }
    }

    /// The mean absolute error.
    pub fn absolute() -> Self {
        Self::new(Of::Absolute)
    }

    /// The mean squared error.
    pub fn squared() -> Self {
        Self::new(Of::Squared)
    }

    /// The root of the mean squared error.
    pub fn root() -> Self {
        Self::new(Of::Root)
    }

    /// The mean of the absolute error as a share of the target, which counts as at least `epsilon` (torchmetrics': 1.17e-6).
    pub fn percentage(epsilon: f64) -> Self {
        Self::new(Of::Percentage { epsilon })
    }

    /// One number for each of so many columns (default 1: one over everything).
    #[must_use]
    pub fn num_outputs(mut self, num_outputs: i64) -> Self {
        self.num_outputs = num_outputs;
        self
    }
}

/// Input, target and weight in f64 as `[n, outputs]`. Rows with a NaN are counted.
pub(crate) fn columns(seen: &Seen, outputs: Option<i64>, memory: &mut Memory) -> Result<[Tensor; 3]> {
    let (input, target) = (seen.input, seen.need_target()?);
    if input.size() != target.size() {
        let expected = format!("the input has shape {:?}, and the two must be equal", input.size());
        return Err(Error::Shape { what: "the target".into(), got: target.size(), expected });
    }
    let weight = weight_like(seen.weight, target)?;
    let size = input.size();
    let outputs = match (outputs, &size[..]) {
        (Some(1), _) => 1,
        (Some(outputs), [_, columns]) if *columns == outputs => outputs,
        (Some(outputs), _) => {
            let expected = format!("there are {outputs} outputs, so the shape is [n, {outputs}]");
            return Err(Error::Shape { what: "the input".into(), got: size, expected });
        }
        (None, [_]) => 1,
        (None, [_, columns]) => *columns,
        (None, _) => {
            let expected = "values are [n] or [n, outputs]".into();
            return Err(Error::Shape { what: "the input".into(), got: size, expected });
        }
    };
    let flat = |of: &Tensor| of.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([-1, outputs]);
    let is_nan = input.f_isnan()?.f_logical_or(&target.f_isnan()?)?.f_logical_and(&weight.f_ne(0)?)?;
    memory.note_nan(&is_nan)?;
    Ok([flat(input)?, flat(target)?, flat(&weight)?])
}

impl ByName for MeanError {
    fn each_setting(&mut self, table: &mut Table) -> Result<()> {
        match &mut self.kind {
            Of::Squared => {
                // torchmetrics' other way to ask for the root
                if table.take("squared")? == Some(false) {
                    self.kind = Of::Root;
                }
            }
            Of::Percentage { epsilon } => table.setting("epsilon", epsilon)?,
            Of::Absolute | Of::Root => {}
        }
        table.setting("num_outputs", &mut self.num_outputs)
    }
}

impl Metric for MeanError {
    fn name(&self) -> &str {
        match self.kind {
            Of::Absolute => "mean_absolute_error",
            Of::Squared => "mean_squared_error",
            Of::Root => "root_mean_squared_error",
            Of::Percentage { .. } => "mean_absolute_percentage_error",
        }
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn check(&self) -> Result<()> {
        if let Of::Percentage { epsilon } = self.kind {
            Range::Above(0.0).check(self.name(), "epsilon", epsilon)?;
        }
        Range::Count(1).check(self.name(), "num_outputs", self.num_outputs as f64)
    }

    fn parts(&self) -> Option<Vec<String>> {
        Some(Average::None.parts(self.num_outputs))
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let [input, target, weight] = columns(seen, Some(self.num_outputs), memory)?;
        let apart = input.f_sub(&target)?;
        let error = match self.kind {
            Of::Absolute => apart.f_abs()?,
            Of::Squared | Of::Root => apart.f_mul(&apart)?,
            Of::Percentage { epsilon } => apart.f_abs()?.f_div(&target.f_abs()?.f_clamp_min(epsilon)?)?,
        };
        // what counts nothing may be anything, NaN included
        let error = error.f_where_self(&weight.f_ne(0)?, &error.f_zeros_like()?)?.f_mul(&weight)?;
        let sum = |of: &Tensor| of.f_sum_dim_intlist(0i64, false, Kind::Double);
        memory.add("sums", Tensor::f_stack(&[sum(&error)?, sum(&weight)?], 0)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let sums = memory.numbers("sums")?;
        if sums.is_empty() {
            return Ok(Computed::Number(f64::NAN));
        }
        let (error, weight) = sums.split_at(sums.len() / 2);
        let means = error.iter().zip(weight).map(|(error, weight)| error / weight);
        Ok(each(if self.kind == Of::Root { means.map(f64::sqrt).collect() } else { means.collect() }))
    }
}
