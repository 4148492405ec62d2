//! What a loader's batches have logged: values wait for the device, many at once, and are folded in order.
use super::deferred::Deferred;
use super::slot::{Folded, Reduce};
use super::value::Value;
use crate::error::Result;

/// What the running loader has logged.
#[derive(Debug, Default)]
pub(crate) struct LoaderMetrics {
    pub(super) slots: Vec<Folded>,
    /// Values that wait, each with its weight behind it; a row is a slot's place.
    pub(super) queue: Deferred<usize>,
    pub(super) batch: u64,
}

/// How many values wait in the queue before they are read.
const QUEUE: usize = 256;

impl LoaderMetrics {
    pub(super) fn log(&mut self, name: &str, value: Value, reduce: Reduce, weight: Value) -> Result<()> {
        let slot = match self.slots.iter().position(|slot| slot.name == name) {
            Some(slot) => slot,
            None => {
                self.slots.push(Folded::new(name, reduce));
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
        self.queue.reserve_exact(QUEUE, 2 * QUEUE);
        (self.slots[slot].batch, self.slots[slot].queued) = (self.batch, Some(self.queue.values()));
        self.queue.push(slot, [value, weight]);
        if self.queue.rows() >= QUEUE { self.drain() } else { Ok(()) }
    }

    /// Reads what waits and folds it, in the order in which it was logged.
    pub(super) fn drain(&mut self) -> Result<()> {
        let slots = &mut self.slots;
        self.queue.read(|slot, read| {
            let (Some(slot), &[value, weight]) = (slots.get_mut(slot), read) else { return };
            slot.queued = None;
            slot.fold(value, weight);
        })
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
