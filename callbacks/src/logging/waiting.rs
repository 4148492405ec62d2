//! Rows of batches whose values wait to be read from the device, many at once.
use std::sync::Arc;
use std::time::{Duration, Instant};

use catena_chain::{Context, Deferred, Result};
use catena_loggers::{Entry, Payload, Scalars, Scope};

use super::outbox::entry;

/// How many values of batches wait before they are read, and for how long they may.
const READ_AT: usize = 256;
const READ_AFTER: Duration = Duration::from_secs(5);

/// Rows of batches whose values are not read yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: Deferred<(Entry, Arc<[String]>)>,
    since: Option<Instant>,
    names: Arc<[String]>,
}

impl Waiting {
    /// Keeps what the batch has logged, as it is.
    pub(super) fn add(&mut self, cx: &Context) {
        if !cx.metrics.of_batch().map(|(name, _)| name).eq(self.names.iter()) {
            self.names = cx.metrics.of_batch().map(|(name, _)| name.to_owned()).collect();
        }
        let nothing = Payload::Scalars(Scalars::new(Arc::default(), Vec::new()));
        let row = (entry(cx, Scope::Batch(cx.loader_batch()), nothing), Arc::clone(&self.names));
        self.rows.push(row, cx.metrics.of_batch().map(|(_, value)| value));
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn is_due(&self) -> bool {
        self.rows.values() >= READ_AT || self.since.is_some_and(|since| since.elapsed() > READ_AFTER)
    }

    /// Reads all values at once.
    pub(super) fn read(&mut self) -> Result<Vec<Entry>> {
        self.since = None;
        let mut entries = Vec::with_capacity(self.rows.rows());
        self.rows.read(|(mut entry, names), numbers| {
            entry.payload = Payload::Scalars(Scalars::new(names, numbers.to_vec()));
            entries.push(entry);
        })?;
        Ok(entries)
    }
}
