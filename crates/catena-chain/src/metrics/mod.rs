//! Metrics: logged without waiting for the device, folded on the host in order.
mod deferred;
mod loader;
mod slot;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::deferred::Deferred;
pub(crate) use self::loader::LoaderMetrics;
use self::slot::Folded;
pub use self::slot::Reduce;
pub use self::value::{Value, read_values};
use crate::error::Result;

/// The smallest and the largest value that a metric had at a loader's end, and the global epochs they were seen in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "said above")]
pub struct Extremes {
    #[serde(with = "catena_record::float")]
    pub min: f64,
    pub min_epoch: u64,
    #[serde(with = "catena_record::float")]
    pub max: f64,
    pub max_epoch: u64,
}

/// What was measured: the running loader's values, and those of loaders that have ended.
///
/// Names of values that have ended carry their loader's: `train/loss`, `valid/accuracy@1`.
///
/// ```
/// use catena_chain::{Reduce, testing};
///
/// let mut driver = testing::driver(vec![])?;
/// let cx = driver.context_mut();
/// cx.log("hits", 2.0, Reduce::Sum)?;
/// cx.log("hits", 3.0, Reduce::Sum)?;
/// assert_eq!(cx.metrics.so_far("hits")?, Some(5.0));
/// driver.leave_loader()?;
/// assert_eq!(driver.context().metrics.get("train/hits"), Some(5.0));
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) current: LoaderMetrics,
    ended: BTreeMap<String, f64>,
    ended_at: BTreeMap<String, u64>,
    measurements: BTreeMap<String, u64>,
    best: BTreeMap<String, Extremes>,
    of_event: Vec<(String, f64)>,
}

/// What must survive a resume.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedMetrics {
    current: Vec<Folded>,
    #[serde(with = "catena_record::float::map")]
    ended: BTreeMap<String, f64>,
    ended_at: BTreeMap<String, u64>,
    #[serde(default)]
    measurements: BTreeMap<String, u64>,
    best: BTreeMap<String, Extremes>,
}

impl Metrics {
    pub(crate) fn log(&mut self, name: &str, value: Value, reduce: Reduce, weight: Value) -> Result<()> {
        self.current.log(name, value, reduce, weight)
    }

    /// The value that a metric had when its loader last ended: `get("valid/loss")`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.ended.get(name).copied()
    }

    /// How many times the metric of this name has been measured in the run: how old [`Metrics::get`] is. [`Watch`](crate::Watch) goes by it.
    pub fn measurements(&self, name: &str) -> u64 {
        self.measurements.get(name).copied().unwrap_or(0)
    }

    /// As [`Metrics::get`], or an error that lists the names that exist.
    pub fn require(&self, name: &str) -> Result<f64> {
        self.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.ended.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            format!("there is no metric `{name}`; there are: {known}").into()
        })
    }

    /// Everything that has ended, by name.
    pub fn ended(&self) -> &BTreeMap<String, f64> {
        &self.ended
    }

    /// The smallest and largest values so far, by name.
    pub fn best(&self) -> &BTreeMap<String, Extremes> {
        &self.best
    }

    /// A metric of the running loader, over its batches so far. Waits for the device.
    pub fn so_far(&mut self, name: &str) -> Result<Option<f64>> {
        self.current.drain()?;
        Ok(self.current.slots.iter().find(|slot| slot.name == name).map(Folded::value))
    }

    /// The value that the running loader logged last. Waits for the device.
    pub fn last(&mut self, name: &str) -> Result<Option<f64>> {
        self.current.drain()?;
        Ok(self.current.slots.iter().find(|slot| slot.name == name).map(|slot| slot.last))
    }

    /// Every metric of the running loader over its batches so far, in the order of their first logging. Waits for the device.
    pub fn all_so_far(&mut self) -> Result<impl Iterator<Item = (&str, f64)>> {
        self.current.drain()?;
        Ok(self.current.slots.iter().map(|slot| (slot.name.as_str(), slot.value())))
    }

    /// What ended when so many train batches of the run were done: what was measured of the parameters as they were then.
    pub fn ended_at(&self, global_batch: u64) -> impl Iterator<Item = (&str, f64)> {
        let then = self.ended_at.iter().filter(move |(_, at)| **at == global_batch);
        then.filter_map(|(name, _)| Some((name.as_str(), self.get(name)?)))
    }

    /// What the current batch has logged so far, each name with its last value, in the order of their first logging in the
    /// loader. Nothing is read: a tensor that waits on a device is given as it is, so this does not wait for it.
    ///
    /// ```
    /// use catena_chain::{Reduce, Value, testing};
    ///
    /// let mut driver = testing::driver(vec![])?; // in a batch
    /// driver.context_mut().log("hits", 2.0, Reduce::Sum)?;
    /// driver.enter_batch(testing::tiny_batch(6));
    /// driver.context_mut().log("loss", 0.5, Reduce::Mean)?;
    /// let of_batch: Vec<(&str, Value)> = driver.context().metrics.of_batch().collect();
    /// assert!(matches!(of_batch[..], [("loss", Value::Number(0.5))]));
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn of_batch(&self) -> impl Iterator<Item = (&str, Value)> {
        let LoaderMetrics { slots, queue, batch, .. } = &self.current;
        slots.iter().filter(|slot| slot.batch == *batch).map(|slot| {
            let value = match slot.queued.and_then(|at| queue.value(at)) {
                Some(value) => value.shared(),
                None => Value::Number(slot.last),
            };
            (slot.name.as_str(), value)
        })
    }

    /// What this event has logged so far outside of loaders, in order; of a name that came twice, the last.
    pub fn of_event(&self) -> impl Iterator<Item = (&str, f64)> {
        self.of_event.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// An event begins.
    pub(crate) fn enter_event(&mut self) {
        self.of_event.clear();
    }

    /// Sets a value that belongs to no loader.
    pub(crate) fn set(&mut self, name: &str, value: Value, now: Now) -> Result<()> {
        let value = match value {
            Value::Number(number) | Value::Held(number) => number,
            Value::Tensor(tensor) => tensor.f_double_value(&[])?,
        };
        match self.of_event.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) => *last = value,
            None => self.of_event.push((name.to_owned(), value)),
        }
        self.end(Cow::Borrowed(name), value, now);
        Ok(())
    }

    pub(crate) fn end_loader(&mut self, loader: &str, now: Now) -> Result<()> {
        self.current.drain()?;
        for slot in std::mem::take(&mut self.current.slots) {
            self.end(format!("{loader}/{}", slot.name).into(), slot.value(), now);
        }
        Ok(())
    }

    pub(crate) fn save(&mut self) -> Result<SavedMetrics> {
        self.current.drain()?;
        let Self { current, ended, ended_at, measurements, best, of_event: _ } = &*self;
        let LoaderMetrics { slots, queue: _, batch: _ } = current;
        let (current, ended, ended_at, best) = (slots.clone(), ended.clone(), ended_at.clone(), best.clone());
        Ok(SavedMetrics { current, ended, ended_at, measurements: measurements.clone(), best })
    }

    pub(crate) fn load(&mut self, saved: SavedMetrics) {
        let SavedMetrics { current, ended, ended_at, measurements, best } = saved;
        self.current.queue.clear();
        self.current.slots = current;
        (self.ended, self.ended_at, self.best) = (ended, ended_at, best);
        self.measurements = measurements;
    }

    fn end(&mut self, name: Cow<'_, str>, value: f64, Now { epoch, batch }: Now) {
        let name = name.into_owned();
        if !value.is_nan() {
            let first = Extremes { min: value, min_epoch: epoch, max: value, max_epoch: epoch };
            let best = self.best.entry(name.clone()).or_insert(first);
            if value < best.min {
                (best.min, best.min_epoch) = (value, epoch);
            }
            if value > best.max {
                (best.max, best.max_epoch) = (value, epoch);
            }
        }
        self.ended_at.insert(name.clone(), batch);
        *self.measurements.entry(name.clone()).or_default() += 1;
        self.ended.insert(name, value);
    }
}

/// When a value ends: the run's epoch and train batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) epoch: u64,
    pub(crate) batch: u64,
}

#[cfg(test)]
mod tests {
    use catena_tensor::tch::Tensor;

    use super::*;

    #[test]
    fn what_is_saved_in_the_middle_of_a_loader_goes_on_to_the_same_bits() {
        let log = |metrics: &mut Metrics, range: std::ops::Range<i32>| {
            for i in range {
                let value = (f64::from(i) * 0.7).sin() / 3.0;
                metrics.log("m", value.into(), Reduce::Mean, (0.1 * f64::from(i)).into()).unwrap();
                metrics.log("low", (-value).into(), Reduce::Min, 1.0.into()).unwrap();
                metrics.log("nan", f64::NAN.into(), Reduce::Last, 1.0.into()).unwrap();
            }
        };
        let now = Now { epoch: 1, batch: 9 };
        let mut whole = Metrics::default();
        log(&mut whole, 0..40);
        whole.end_loader("train", now).unwrap();
        let mut first = Metrics::default();
        log(&mut first, 0..17);
        let text = serde_json::to_string(&first.save().unwrap()).unwrap();
        let mut second = Metrics::default();
        second.load(serde_json::from_str(&text).unwrap());
        log(&mut second, 17..40);
        second.end_loader("train", now).unwrap();
        for name in ["train/m", "train/low", "train/nan"] {
            assert_eq!(whole.get(name).unwrap().to_bits(), second.get(name).unwrap().to_bits(), "{name}");
        }
        assert_eq!(second.ended_at(9).count(), 3);
        assert_eq!(second.ended_at(8).count(), 0);
    }

    #[test]
    fn a_tensor_that_is_changed_in_place_after_it_was_logged_counts_as_it_was() {
        use catena_tensor::tch::Kind;
        for kind in [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Half, Kind::Int64, Kind::Bool] {
            let mut metrics = Metrics::default();
            // a view of what goes on to change, as a buffer of losses is
            let mut buffer = Tensor::from_slice(&[0.0, 1.0]).to_kind(kind);
            metrics.log("m", Value::from(buffer.get(1)), Reduce::Sum, Value::Number(1.0)).unwrap();
            metrics
                .log("m", Value::from(&buffer.get(1).view([1, 1])), Reduce::Sum, Value::Number(1.0))
                .unwrap();
            let _zeroed = buffer.zero_();
            let of_batch: Vec<Value> = metrics.of_batch().map(|(_, value)| value).collect();
            let mut numbers = Vec::new();
            read_values(&of_batch, &mut numbers).unwrap();
            assert_eq!((numbers, metrics.so_far("m").unwrap()), (vec![1.0], Some(2.0)), "{kind:?}");
        }
    }

    fn fold(reduce: Reduce, values: &[(f64, f64)]) -> f64 {
        let mut metrics = Metrics::default();
        for &(value, weight) in values {
            metrics.log("m", value.into(), reduce, weight.into()).unwrap();
        }
        metrics.so_far("m").unwrap().unwrap()
    }

    #[test]
    fn each_reduction_is_what_its_name_says() {
        let values = [(1.0, 2.0), (4.0, 1.0), (3.0, 3.0)];
        for (reduce, expected) in [
            (Reduce::Mean, (1.0 * 2.0 + 4.0 + 3.0 * 3.0) / 6.0),
            (Reduce::Sum, 8.0),
            (Reduce::Last, 3.0),
            (Reduce::Min, 1.0),
            (Reduce::Max, 4.0),
        ] {
            assert_eq!(fold(reduce, &values), expected, "{reduce:?}");
        }
        assert_eq!(fold(Reduce::Mean, &[(f64::NAN, 0.0), (2.0, 1.0)]), 2.0, "what counts nothing may be NaN");
        assert!(fold(Reduce::Min, &[(1.0, 1.0), (f64::NAN, 1.0)]).is_nan(), "a NaN is not hidden");
    }

    #[test]
    fn when_the_queue_is_read_does_not_change_a_bit() {
        let values: Vec<f64> = (1..1000).map(|i| (f64::from(i) * 0.7).sin() / 3.0).collect();
        let run = |read_at: usize| {
            let mut metrics = Metrics::default();
            for (i, &value) in values.iter().enumerate() {
                let tensor = Tensor::from(value);
                metrics
                    .log(
                        "m",
                        if i % 2 == 0 { value.into() } else { tensor.into() },
                        Reduce::Mean,
                        Value::Number(0.1 * i as f64),
                    )
                    .unwrap();
                if i % read_at == 0 {
                    metrics.last("m").unwrap();
                }
            }
            metrics.so_far("m").unwrap().unwrap().to_bits()
        };
        assert_eq!(run(1), run(7));
        assert_eq!(run(1), run(10_000));
    }

    #[test]
    fn a_batchs_values_are_its_own_whether_they_were_read_or_wait() {
        let of_batch = |metrics: &Metrics| -> Vec<(String, f64)> {
            let number = |value| match value {
                Value::Number(number) | Value::Held(number) => number,
                Value::Tensor(tensor) => tensor.double_value(&[]),
            };
            metrics.of_batch().map(|(name, value)| (name.to_owned(), number(value))).collect()
        };
        let mut metrics = Metrics::default();
        metrics.current.enter_batch();
        for (name, value) in [("a", 1.0), ("b", 2.0)] {
            metrics.log(name, value.into(), Reduce::Mean, 1.0.into()).unwrap();
        }
        metrics.current.enter_batch();
        metrics.log("c", Tensor::from(3.0).into(), Reduce::Mean, 1.0.into()).unwrap();
        metrics.log("a", 4.0.into(), Reduce::Mean, 1.0.into()).unwrap();
        metrics.log("a", 5.0.into(), Reduce::Mean, 1.0.into()).unwrap();
        let expected = [("a".to_owned(), 5.0), ("c".to_owned(), 3.0)];
        assert_eq!(of_batch(&metrics), expected);
        metrics.current.drain().unwrap();
        assert_eq!(of_batch(&metrics), expected);
        for value in [6.0, 7.0, 8.0] {
            metrics.log("d", value.into(), Reduce::Mean, 1.0.into()).unwrap();
        }
        assert_eq!(of_batch(&metrics)[..2], expected);
        metrics.current.enter_batch();
        assert_eq!(of_batch(&metrics), []);
    }

    #[test]
    fn what_is_no_number_or_changes_its_reduction_is_refused() {
        let mut metrics = Metrics::default();
        let vector = Tensor::from_slice(&[1.0, 2.0]);
        let text = metrics.log("m", vector.into(), Reduce::Mean, 1.0.into()).unwrap_err().to_string();
        assert_eq!(text, "metric `m` must be one number, but has shape [2]");
        metrics.log("m", 1.0.into(), Reduce::Mean, 1.0.into()).unwrap();
        assert!(metrics.log("m", 1.0.into(), Reduce::Sum, 1.0.into()).is_err());
    }
}
