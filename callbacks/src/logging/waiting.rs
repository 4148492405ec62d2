//! Rows of batches whose values wait to be read from the device, many at once.
use std::sync::Arc;
use std::time::{Duration, Instant};

use catena_chain::{Context, Result, Value, read_values};
use catena_loggers::{Entry, Payload, Scalars, Scope};

use super::outbox::entry;

/// How many values of batches wait before they are read, and for how long they may.
const READ_AT: usize = 256;
const READ_AFTER: Duration = Duration::from_secs(5);

/// Rows of batches whose values are not read yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: Vec<(Entry, Arc<[String]>)>,
    values: Vec<Value>,
    numbers: Vec<f64>,
    since: Option<Instant>,
    names: Arc<[String]>,
}

impl Waiting {
    /// Keeps what the batch has logged, as it is.
    pub(super) fn add(&mut self, cx: &Context) {
        let (before, mut same) = (self.values.len(), true);
        for (name, value) in cx.metrics.of_batch() {
            same &= self.names.get(self.values.len() - before).is_some_and(|known| known == name);
            self.values.push(value);
        }
        if !same || self.values.len() - before != self.names.len() {
            self.names = cx.metrics.of_batch().map(|(name, _)| name.to_owned()).collect();
        }
        let nothing = Payload::Scalars(Scalars::new(Arc::default(), Vec::new()));
        self.rows.push((entry(cx, Scope::Batch(cx.loader_batch()), nothing), Arc::clone(&self.names)));
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn is_due(&self) -> bool {
        self.values.len() >= READ_AT || self.since.is_some_and(|since| since.elapsed() > READ_AFTER)
    }

    /// Reads all values at once.
    pub(super) fn read(&mut self) -> Result<Vec<Entry>> {
        self.since = None;
        let read = read_values(&self.values, &mut self.numbers);
        self.values.clear();
        let mut numbers = self.numbers.drain(..);
        let entries = self.rows.drain(..).map(|(mut entry, names)| {
            let values = numbers.by_ref().take(names.len()).collect();
            entry.payload = Payload::Scalars(Scalars::new(names, values));
            entry
        });
        let entries = entries.collect();
        read.map(|()| entries)
    }
}
