//! A metric with its memory, for use by hand.
use catena_tensor::Result;
use catena_tensor::state::State;

use crate::memory::Memory;
use crate::metric::{Computed, Metric, Seen};

/// A [`Metric`] and the [`Memory`] of what it has seen: what torchmetrics calls a metric, with its `update`, `compute` and `reset`.
///
/// This is for use by hand. In a chain the callback `Measure` keeps the memory, loader by loader.
///
/// ```
/// use catena_metrics::{Meter, Seen, Statistic, from_value};
/// use catena_tensor::tch::Tensor;
/// use serde_json::json;
///
/// let mut here = Meter::new(Statistic::mean());
/// here.update(&Seen::new(&Tensor::from_slice(&[1.0, 2.0])))?;
/// let mut there = Meter::new(from_value(json!({"name": "mean"}))?);
/// there.update(&Seen::new(&Tensor::from_slice(&[6.0])))?;
/// here.merge(there.state())?;
/// assert_eq!(here.compute()?.number(), Some(3.0));
/// here.reset();
/// assert!(here.memory().is_empty());
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Meter {
    metric: Box<dyn Metric>,
    memory: Memory,
}

impl Meter {
    /// Of this metric, which has seen nothing yet.
    pub fn new(metric: impl Into<Box<dyn Metric>>) -> Self {
        Self { metric: metric.into(), memory: Memory::default() }
    }

    /// The metric.
    pub fn metric(&self) -> &dyn Metric {
        self.metric.as_ref()
    }

    /// What is kept of the batches.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes a batch in, without waiting for the device. An error if its shapes don't fit the metric.
    pub fn update(&mut self, seen: &Seen) -> Result<()> {
        self.metric.update(seen, &mut self.memory)
    }

    /// The value over all that was seen. Waits for the device. An error if a label or another number of a batch was wrong.
    pub fn compute(&self) -> Result<Computed> {
        self.metric.compute(&self.memory)
    }

    /// What must be kept to go on later: JSON and named tensors, exact.
    pub fn state(&self) -> State {
        self.memory.state()
    }

    /// Takes back what [`Meter::state`] gave, in place of what was seen. An error if it is no such state.
    pub fn load_state(&mut self, state: State) -> Result<()> {
        self.memory = Memory::from_state(state)?;
        Ok(())
    }

    /// Takes in what another meter of the same metric and settings has seen (its [`Meter::state`]), as if it were seen here. An error if
    /// it does not fit.
    pub fn merge(&mut self, other: State) -> Result<()> {
        self.memory.merge(Memory::from_state(other)?)
    }

    /// Forgets all that was seen.
    pub fn reset(&mut self) {
        self.memory.clear();
    }
}
