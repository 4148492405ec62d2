//! What metrics keep: sums, extremes, moments and rows, each of which can be merged, saved and restored.
mod accumulator;
pub(crate) mod moments;

use catena_tensor::state::State;
use catena_tensor::tch::{Device, Kind, Tensor};
use catena_tensor::{Error, Result};

use self::accumulator::Accumulator;
pub use self::moments::Moments;
use crate::host::host;

/// What a metric keeps, by name, on the device of the data.
///
/// * a **sum** of f64 tensors with the rounding errors kept beside it: counts are exact, and the order of batches and merges
///   changes no more than the last bit
/// * the **min** and the **max** of what was seen
/// * the **moments** of pairs (x, y): weight, sums and sums of products around a point near the mean, so that a large mean
///   costs no digits
/// * **rows**, for what can be computed from everything only; they grow with the loader
/// * the **first** row in which something was wrong, and what
/// * how many rows had a **NaN** ([`Memory::note_nan`])
///
/// ```
/// use catena_metrics::Memory;
/// use catena_tensor::tch::Tensor;
///
/// let (mut a, mut b) = (Memory::default(), Memory::default());
/// a.add("total", Tensor::from(1e16))?;
/// b.add("total", Tensor::from(1.0))?;
/// b.add("total", Tensor::from(-1e16))?;
/// a.merge(b)?;
/// assert_eq!(a.number("total")?, 1.0);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Memory {
    accumulators: Vec<(String, Accumulator)>,
}

/// Under which name [`Memory::note_nan`] counts: rows with a NaN, and all.
const NAN_ROWS: &str = "nan_rows";

impl Memory {
    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.accumulators.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.accumulators.clear();
    }

    /// Adds to a sum, element by element. The shape must stay the same.
    pub fn add(&mut self, name: &str, terms: Tensor) -> Result<()> {
        let low = terms.f_zeros_like()?;
        self.take_in(name, Accumulator::Sum { high: terms, low })
    }

    /// Takes the elementwise smaller of what is kept and this.
    pub fn min(&mut self, name: &str, value: Tensor) -> Result<()> {
        self.take_in(name, Accumulator::Min(value))
    }

    /// Takes the elementwise larger of what is kept and this.
    pub fn max(&mut self, name: &str, value: Tensor) -> Result<()> {
        self.take_in(name, Accumulator::Max(value))
    }

    /// Adds pairs to moments: `x`, `y` and `weight` are f64 `[n, outputs]`.
    pub fn pairs(&mut self, name: &str, x: &Tensor, y: &Tensor, weight: &Tensor) -> Result<()> {
        let shift = match self.accumulators.iter().find(|(known, _)| known == name) {
            Some((_, Accumulator::Moments { shift, high, .. })) => Some((shift, high)),
            _ => None,
        };
        self.take_in(name, Accumulator::pairs(x, y, weight, shift)?)
    }

    /// Keeps rows, a copy of them: the first dimension may have any length, the others stay the same.
    pub fn push(&mut self, name: &str, rows: &Tensor) -> Result<()> {
        self.take_in(name, Accumulator::Rows(vec![rows.f_detach_copy()?]))
    }

    /// Notes where `found` (bool, the shape of `values`, its first dimension is rows): the first row that has something, over all that
    /// comes, and the value there.
    pub(crate) fn note_first(&mut self, name: &str, found: &Tensor, values: &Tensor) -> Result<()> {
        if found.numel() == 0 {
            return Ok(());
        }
        self.take_in(name, Accumulator::first(found, values)?)
    }

    /// The first row for which something was noted, from 0 in the order in which rows came, and the value there.
    pub(crate) fn first(&self, name: &str) -> Result<Option<(u64, f64)>> {
        Ok(match self.numbers(name)?[..] {
            [_, row, value] if row.is_finite() => Some((row as u64, value)),
            _ => None,
        })
    }

    /// Counts the rows that have a NaN among what is measured, so that it can be told where the value is logged: `is_nan` is bool,
    /// its first dimension is rows. Rows that count nothing must be false.
    ///
    /// ```
    /// use catena_metrics::Memory;
    /// use catena_tensor::tch::Tensor;
    ///
    /// let mut memory = Memory::default();
    /// memory.note_nan(&Tensor::from_slice(&[1.0, f64::NAN, 3.0]).f_isnan()?)?;
    /// assert_eq!(memory.nan_rows()?, (1, 3));
    /// # Ok::<(), catena_tensor::Error>(())
    /// ```
    pub fn note_nan(&mut self, is_nan: &Tensor) -> Result<()> {
        if is_nan.numel() == 0 {
            return Ok(());
        }
        let rows = is_nan.size().first().copied().unwrap_or(1);
        let of_rows = is_nan.f_reshape([rows, -1])?.f_any_dim(1, false)?;
        let with = of_rows.f_sum_dim_intlist(0i64, true, Kind::Double)?;
        let all = with.f_full_like(rows)?;
        self.add(NAN_ROWS, Tensor::f_cat(&[with, all], 0)?)
    }

    /// In how many rows a NaN was counted, and how many rows were looked at. Waits for the device.
    pub fn nan_rows(&self) -> Result<(u64, u64)> {
        Ok(match self.numbers(NAN_ROWS)?[..] {
            [with, all] => (with as u64, all as u64),
            _ => (0, 0),
        })
    }

    /// What is kept under this name, on the CPU (sums as f64; rows in the order in which they came), if something is.
    pub fn get(&self, name: &str) -> Result<Option<Tensor>> {
        let Some((_, kept)) = self.accumulators.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let value = match kept {
            Accumulator::Sum { high, low } => high.f_add(low)?,
            Accumulator::Min(value) | Accumulator::Max(value) | Accumulator::First(value) => {
                value.shallow_clone()
            }
            Accumulator::Moments { high, low, .. } => high.f_add(low)?,
            Accumulator::Rows(rows) => Tensor::f_cat(rows, 0)?,
        };
        Ok(Some(value.f_to_device(Device::Cpu)?))
    }

    /// What is kept under this name, as numbers in one row; none if nothing is.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        match self.get(name)? {
            Some(value) => host(&value),
            None => Ok(Vec::new()),
        }
    }

    /// A sum or an extreme of one element; NaN if nothing is kept.
    pub fn number(&self, name: &str) -> Result<f64> {
        Ok(self.numbers(name)?.first().copied().unwrap_or(f64::NAN))
    }

    /// Moments, if pairs have been added under this name.
    pub fn moments(&self, name: &str) -> Result<Option<Moments>> {
        match self.accumulators.iter().find(|(known, _)| known == name) {
            Some((_, kept @ Accumulator::Moments { .. })) => kept.moments().map(Some),
            _ => Ok(None),
        }
    }

    /// Takes in what another memory keeps.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        other.accumulators.into_iter().try_for_each(|(name, more)| self.take_in(&name, more))
    }

    fn take_in(&mut self, name: &str, more: Accumulator) -> Result<()> {
        match self.accumulators.iter_mut().find(|(known, _)| known == name) {
            Some((_, own)) => own.merge(more).map_err(|error| match error {
                Error::Settings { why, .. } => Error::Settings { of: format!("metric memory `{name}`"), why },
                other => other,
            }),
            None => {
                // the first may be memory of the batch's, which its owner may use again; the sums after it are the accumulator's own
                let own = |tensor: Tensor| tensor.f_detach_copy();
                let first = match more {
                    Accumulator::Sum { high, low } => Accumulator::Sum { high: own(high)?, low },
                    Accumulator::Min(value) => Accumulator::Min(own(value)?),
                    Accumulator::Max(value) => Accumulator::Max(own(value)?),
                    other => other,
                };
                self.accumulators.push((name.to_owned(), first));
                Ok(())
            }
        }
    }

    /// Everything as JSON and named tensors, exact.
    pub fn state(&self) -> State {
        let kinds: Vec<(&str, &str)> =
            self.accumulators.iter().map(|(name, kept)| (name.as_str(), kept.kind())).collect();
        let tensors = self.accumulators.iter().flat_map(|(name, kept)| {
            kept.tensors().into_iter().map(move |(part, tensor)| (format!("{name}.{part}"), tensor))
        });
        State { json: serde_json::json!(kinds), tensors: tensors.collect(), ..State::none() }
    }

    /// What [`Memory::state`] gave.
    pub fn from_state(state: State) -> Result<Self> {
        let wrong = |why: String| Error::Settings { of: "a metric's state".into(), why };
        let kinds: Vec<(String, String)> = if state.json.is_null() {
            Vec::new()
        } else {
            serde_json::from_value(state.json).map_err(|error| wrong(error.to_string()))?
        };
        let mut tensors = state.tensors;
        let mut accumulators = Vec::with_capacity(kinds.len());
        for (name, kind) in kinds {
            let mut part = |part: &str| {
                let key = format!("{name}.{part}");
                let at = tensors.iter().position(|(known, _)| *known == key);
                let at = at.ok_or_else(|| wrong(format!("it has no tensor `{key}`")))?;
                Ok(tensors.swap_remove(at).1)
            };
            let read = Accumulator::from_tensors(&kind, &mut part)?;
            accumulators.push((name, read));
        }
        Ok(Self { accumulators })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(memory: &Memory) -> Vec<(String, Vec<f64>)> {
        let state = memory.state();
        state.tensors.iter().map(|(name, tensor)| (name.clone(), host(tensor).unwrap())).collect()
    }

    #[test]
    fn state_comes_back_bit_by_bit_and_goes_on_the_same() {
        let x = |a: f64, b: f64| Tensor::from_slice(&[a, b]).view([2, 1]);
        let feed = |memory: &mut Memory, a: f64| {
            memory.add("sum", Tensor::from(a / 3.0)).unwrap();
            memory.min("least", Tensor::from(a)).unwrap();
            memory.max("most", Tensor::from(a)).unwrap();
            memory.push("rows", &Tensor::from_slice(&[a, a * 2.0])).unwrap();
            memory.pairs("pairs", &x(a, 1.0), &x(0.1, a), &x(1.0, 2.0)).unwrap();
        };
        let (mut straight, mut first) = (Memory::default(), Memory::default());
        feed(&mut straight, 0.1);
        feed(&mut straight, 1e9);
        feed(&mut straight, -0.7);
        feed(&mut first, 0.1);
        feed(&mut first, 1e9);
        let mut again = Memory::from_state(first.state()).unwrap();
        feed(&mut again, -0.7);
        assert_eq!(all(&straight), all(&again));
    }

    #[test]
    fn what_it_keeps_is_its_own_whatever_becomes_of_the_tensors_it_was_given() {
        let mut memory = Memory::default();
        let mut x = Tensor::from_slice(&[3.0]);
        for _ in 0..2 {
            memory.add("sum", x.shallow_clone()).unwrap();
            memory.min("least", x.shallow_clone()).unwrap();
            memory.max("most", x.shallow_clone()).unwrap();
            memory.push("rows", &x).unwrap();
            let _spoilt = x.fill_(5.0);
        }
        let numbers = ["sum", "least", "most", "rows"].map(|name| memory.numbers(name).unwrap());
        assert_eq!(numbers, [vec![8.0], vec![3.0], vec![5.0], vec![3.0, 5.0]]);
    }

    #[test]
    fn a_sum_loses_nothing_to_the_order_of_its_terms() {
        let sum = |order: &[f64]| {
            let mut memory = Memory::default();
            order.iter().for_each(|&x| memory.add("n", Tensor::from(x)).unwrap());
            memory.number("n").unwrap()
        };
        let terms: Vec<f64> =
            (0..1000).map(|i| if i % 2 == 0 { 0.1 } else { 1e15 * f64::from(i % 4 - 2) }).collect();
        let backwards: Vec<f64> = terms.iter().rev().copied().collect();
        assert_eq!(sum(&terms), sum(&backwards));
        assert!((sum(&terms) - 50.0).abs() < 1e-9, "{}", sum(&terms));
    }

    #[test]
    fn damaged_state_is_refused_with_a_sentence() {
        let mut memory = Memory::default();
        memory.add("n", Tensor::from(1.0)).unwrap();
        let mut state = memory.state();
        state.tensors.pop();
        let text = Memory::from_state(state).unwrap_err().to_string();
        assert_eq!(text, "a metric's state: it has no tensor `n.low`");
        let state = State::json(serde_json::json!([["n", "heap"]]));
        let text = Memory::from_state(state).unwrap_err().to_string();
        assert_eq!(text, "a metric's state: no cell is a `heap`");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut memory = Memory::default();
        memory.add("n", Tensor::from_slice(&[1.0, 2.0])).unwrap();
        let text = memory.add("n", Tensor::from_slice(&[1.0])).unwrap_err().to_string();
        assert_eq!(text, "metric memory `n`: it has shape [2], but what comes has [1]");
        let text = memory.max("n", Tensor::from_slice(&[1.0, 1.0])).unwrap_err().to_string();
        assert_eq!(text, "metric memory `n`: it is a sum, but what comes is a most");
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let mut memory = Memory::default();
        let one = Tensor::from_slice(&[1.0, 1.0, 1.0]).view([3, 1]);
        for i in 0..100 {
            let x = Tensor::from_slice(&[1e9 + f64::from(i), 1e9 - f64::from(i), 1e9]).view([3, 1]);
            memory.pairs("m", &x, &x, &one).unwrap();
        }
        let moments = memory.moments("m").unwrap().unwrap();
        let exact: f64 = (0..100).map(|i| 2.0 * f64::from(i) * f64::from(i)).sum();
        assert!((moments.xx[0] / exact - 1.0).abs() < 1e-14, "{}", moments.xx[0]);
        assert_eq!((moments.weight[0], moments.mean_x[0]), (300.0, 1e9));
    }
}
