//! What a loader's batches have logged: values wait for the device, many at once, and are folded in order.
use super::slot::{Reduce, Slot};
use super::value::{Value, read_values};
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Queued {
    slot: usize,
    pub(super) value: Value,
    weight: Value,
}

/// What the running loader has logged.
#[derive(Debug, Default)]
pub(crate) struct LoaderMetrics {
    pub(super) slots: Vec<Slot>,
    pub(super) queue: Vec<Queued>,
    pub(super) read: Vec<f64>,
    pub(super) batch: u64,
}

/// How many values wait in the queue before they are read.
const QUEUE: usize = 256;

impl LoaderMetrics {
    pub(super) fn log(&mut self, name: &str, value: Value, reduce: Reduce, weight: Value) -> Result<()> {
        let slot = match self.slots.iter().position(|slot| slot.name == name) {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot::new(name, reduce));
                self.slots.len() - 1
            }
        };
        if std::mem::discriminant(&self.slots[slot].reduce) != std::mem::discriminant(&reduce) {
            let first = self.slots[slot].reduce;
            return Err(
                format!("metric `{name}` was logged with {first:?} first, and with {reduce:?} now").into()
            );
        }
        let (value, weight) = (one(name, value)?, one(name, weight)?);
        if self.queue.capacity() == 0 {
            self.queue.reserve_exact(QUEUE);
            self.read.reserve_exact(2 * QUEUE);
        }
        (self.slots[slot].batch, self.slots[slot].queued) = (self.batch, Some(self.queue.len()));
        self.queue.push(Queued { slot, value, weight });
        if self.queue.len() >= QUEUE { self.drain() } else { Ok(()) }
    }

    /// Reads what waits and folds it, in the order in which it was logged.
    pub(super) fn drain(&mut self) -> Result<()> {
        let all = self.queue.iter().flat_map(|queued| [&queued.value, &queued.weight]);
        read_values(all, &mut self.read)?;
        for (queued, read) in self.queue.drain(..).zip(self.read.chunks_exact(2)) {
            self.slots[queued.slot].queued = None;
            self.slots[queued.slot].fold(read[0], read[1]);
        }
        Ok(())
    }

    /// A batch begins: what is logged from here on is its own.
    pub(crate) fn enter_batch(&mut self) {
        self.batch += 1;
    }
}

/// A value or a weight to keep: of one element, and with memory of its own.
fn one(name: &str, value: Value) -> Result<Value> {
    if let Value::Tensor(tensor) = &value
        && tensor.numel() != 1
    {
        return Err(format!("metric `{name}` must be one number, but has shape {:?}", tensor.size()).into());
    }
    value.own()
}
