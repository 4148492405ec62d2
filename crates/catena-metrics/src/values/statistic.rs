//! The mean, deviation, sum, min or max of any value: of the loss, or of what a model returns.
use catena_tensor::Result;
use catena_tensor::tch::{Kind, Tensor};
use serde_json::Value;

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::settings::{ByName, written};
use crate::weights::weight_like;

/// The mean, standard deviation, sum, smallest or largest of the values in the input, by weight. Values of weight 0 may be
/// anything; any other NaN makes each of these NaN.
///
/// ```
/// use catena_metrics::{Meter, Seen, Statistic};
/// use catena_tensor::tch::Tensor;
///
/// let mut mean = Meter::new(Statistic::mean());
/// mean.update(&Seen::new(&Tensor::from_slice(&[1.0, 4.0])).weight(&Tensor::from_slice(&[2.0, 1.0])))?;
/// assert_eq!(mean.compute()?.number(), Some(2.0));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Statistic {
    of: Of,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Mean,
    Std,
    Sum,
    Min,
    Max,
}

impl Statistic {
    fn new(of: Of) -> Self {
        Self { of }
    }

    /// The mean.
    pub fn mean() -> Self {
        Self::new(Of::Mean)
    }

    /// The standard deviation (of the values themselves: divided by the weight, not by one less).
    pub fn std() -> Self {
        Self::new(Of::Std)
    }

    /// The sum of weight times value.
    pub fn sum() -> Self {
        Self::new(Of::Sum)
    }

    /// The smallest value.
    pub fn min() -> Self {
        Self::new(Of::Min)
    }

    /// The largest value.
    pub fn max() -> Self {
        Self::new(Of::Max)
    }
}

impl ByName for Statistic {}

impl Metric for Statistic {
    fn name(&self) -> &str {
        match self.of {
            Of::Mean => "mean",
            Of::Std => "std",
            Of::Sum => "sum",
            Of::Min => "min",
            Of::Max => "max",
        }
    }

    fn settings(&self) -> Value {
        written(self)
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let values = seen.input.f_detach()?.f_to_kind(Kind::Double)?;
        let weight = weight_like(seen.weight, &values)?;
        let (values, weight) = (values.f_reshape([-1, 1])?, weight.f_reshape([-1, 1])?);
        let counts = weight.f_ne(0)?;
        let or = |other: f64| values.f_where_self(&counts, &values.f_full_like(other)?);
        if values.numel() == 0 {
            return Ok(());
        }
        memory.note_nan(&values.f_isnan()?.f_logical_and(&counts)?)?;
        match self.of {
            Of::Min => memory.min("value", or(f64::INFINITY)?.f_min()?),
            Of::Max => memory.max("value", or(f64::NEG_INFINITY)?.f_max()?),
            Of::Std => memory.pairs("moments", &values, &values, &weight),
            Of::Mean | Of::Sum => {
                let sums = [or(0.0)?.f_mul(&weight)?.f_sum(Kind::Double)?, weight.f_sum(Kind::Double)?];
                memory.add("sums", Tensor::f_stack(&sums, 0)?)
            }
        }
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let sums = memory.numbers("sums")?;
        Ok(Computed::Number(match (self.of, &sums[..]) {
            (Of::Mean, [sum, weight]) => sum / weight,
            (Of::Sum, [sum, _]) => *sum,
            (Of::Sum, _) => 0.0,
            (Of::Std, _) => {
                let moments = memory.moments("moments")?;
                moments.map_or(f64::NAN, |m| (m.xx[0] / m.weight[0]).sqrt())
            }
            (Of::Min | Of::Max, _) => memory.number("value")?,
            (Of::Mean, _) => f64::NAN,
        }))
    }
}
