//! Metrics from closures: of each batch, or of the whole loader.
use std::fmt;

use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};
use crate::weights::weight_like;

type OfBatch = Box<dyn Fn(&Seen) -> Result<Tensor>>;
type OfLoader = Box<dyn Fn(&Seen) -> Result<Computed>>;

/// A closure's value for each batch, and their mean by the batches' weights (of the items that count).
///
/// The closure gives a tensor of one element, which is not waited for.
///
/// ```
/// use catena_metrics::{BatchMetric, Meter, Seen};
/// use catena_tensor::tch::{Kind, Tensor};
///
/// let mean = |seen: &Seen| Ok((seen.input - seen.need_target()?).f_mean(Kind::Double)?);
/// let mut bias = Meter::new(BatchMetric::new("bias", mean));
/// bias.update(&Seen::new(&Tensor::from_slice(&[1.0, 2.0])).target(&Tensor::from_slice(&[0.0, 0.0])))?;
/// bias.update(&Seen::new(&Tensor::from_slice(&[3.0])).target(&Tensor::from_slice(&[0.0])))?;
/// assert_eq!(bias.compute()?.number(), Some(2.0));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub struct BatchMetric {
    name: String,
    value: OfBatch,
}

impl BatchMetric {
    /// The mean of this value.
    pub fn new(name: impl Into<String>, value: impl Fn(&Seen) -> Result<Tensor> + 'static) -> Self {
        Self { name: name.into(), value: Box::new(value) }
    }
}

impl fmt::Debug for BatchMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchMetric").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a row of the batch counts, f64 `[n]`.
fn row_weight(seen: &Seen) -> Result<Tensor> {
    let like = seen.target.unwrap_or(seen.input);
    let rows = like.size().first().copied().unwrap_or(1);
    match seen.weight {
        // one number an item: a row counts what its items count
        Some(weight) if weight.dim() > 1 => Ok(weight
            .f_to_kind(Kind::Double)?
            .f_reshape([rows, -1])?
            .f_sum_dim_intlist(1i64, false, Kind::Double)?),
        Some(weight) if weight.dim() == 0 => Ok(weight.f_to_kind(Kind::Double)?.f_reshape([1i64])?),
        weight => weight_like(weight, &Tensor::f_zeros([rows], (Kind::Double, like.device()))?),
    }
}

impl Metric for BatchMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let value = (self.value)(seen)?.f_detach()?.f_to_kind(Kind::Double)?;
        if value.numel() != 1 {
            let expected = "a batch metric is one number".into();
            return Err(Error::Shape { what: format!("`{}`", self.name), got: value.size(), expected });
        }
        let weight = row_weight(seen)?.f_sum(Kind::Double)?.f_to_device(value.device())?;
        let value = value.f_reshape([0i64; 0])?;
        let value = value.f_where_self(&weight.f_ne(0)?, &value.f_zeros_like()?)?;
        memory.add("sums", Tensor::f_stack(&[value.f_mul(&weight)?, weight], 0)?)
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        Ok(Computed::Number(match memory.numbers("sums")?[..] {
            [sum, weight] => sum / weight,
            _ => f64::NAN,
        }))
    }
}

/// A closure's value over everything that a loader gave: inputs, targets and weights of all batches, one after the other, on
/// the CPU. They are kept until the loader's end.
///
/// ```
/// use catena_metrics::{Computed, LoaderMetric, Meter, Seen};
/// use catena_tensor::tch::Tensor;
///
/// let of_all = |all: &Seen| Ok(Computed::Number(all.input.f_median()?.double_value(&[])));
/// let mut median = Meter::new(LoaderMetric::new("median", of_all));
/// median.update(&Seen::new(&Tensor::from_slice(&[5.0, 1.0])))?;
/// median.update(&Seen::new(&Tensor::from_slice(&[2.0])))?;
/// assert_eq!(median.compute()?.number(), Some(2.0));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub struct LoaderMetric {
    name: String,
    value: OfLoader,
}

impl LoaderMetric {
    /// This value of everything.
    pub fn new(name: impl Into<String>, value: impl Fn(&Seen) -> Result<Computed> + 'static) -> Self {
        Self { name: name.into(), value: Box::new(value) }
    }
}

impl fmt::Debug for LoaderMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoaderMetric").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Metric for LoaderMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn parts(&self) -> Option<Vec<String>> {
        None
    }

    fn update(&self, seen: &Seen, memory: &mut Memory) -> Result<()> {
        let Seen { input, target, weight, indexes } = *seen;
        let parts = [("input", Some(input)), ("target", target), ("weight", weight), ("indexes", indexes)];
        for (name, rows) in parts.into_iter().filter_map(|(name, rows)| Some((name, rows?))) {
            let rows = if rows.dim() == 0 { rows.f_reshape([1i64])? } else { rows.shallow_clone() };
            memory.push(name, &rows)?;
        }
        Ok(())
    }

    fn compute(&self, memory: &Memory) -> Result<Computed> {
        let rows = |name| memory.get(name);
        let Some(input) = rows("input")? else { return Ok(Computed::Number(f64::NAN)) };
        let (target, weight, indexes) = (rows("target")?, rows("weight")?, rows("indexes")?);
        (self.value)(&Seen {
            input: &input,
            target: target.as_ref(),
            weight: weight.as_ref(),
            indexes: indexes.as_ref(),
        })
    }
}
