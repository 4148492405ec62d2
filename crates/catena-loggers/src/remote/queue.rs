//! What waits to be sent.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::service::Service;

/// What waits, bounded.
pub(super) struct Queue<S: Service> {
    state: Mutex<Contents<S::Item>>,
    changed: Condvar,
}

struct Contents<I> {
    /// In their order, each with its number.
    waiting: VecDeque<(u64, I)>,
    size: usize,
    next: u64,
    overflowed: bool,
    run_id: Option<String>,
    closed: bool,
}

/// Things with their numbers.
pub(super) type Numbered<I> = Vec<(u64, I)>;

/// The size of what may wait for a server, as [`Service::size`] counts it.
pub const ROOM: usize = 50_000;

impl<S: Service> Queue<S> {
    /// With what waits already, and how much has been logged.
    pub(super) fn new(run_id: Option<String>, waiting: Numbered<S::Item>, logged: u64) -> Self {
        let size = waiting.iter().map(|(_, item)| S::size(item)).sum();
        let waiting = waiting.into();
        let state = Contents { run_id, waiting, size, next: logged, overflowed: false, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Contents<S::Item>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, item: S::Item) {
        let mut state = self.lock();
        state.size += S::size(&item);
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, item));
        while state.size > ROOM {
            let Some(oldest) = state.waiting.iter().position(|(_, item)| S::may_be_lost(item)) else { break };
            if let Some((_, lost)) = state.waiting.remove(oldest) {
                state.size -= S::size(&lost);
            }
            if !std::mem::replace(&mut state.overflowed, true) {
                let name = S::NAME;
                log::warn!("{name}: {ROOM} values wait for the server; the oldest are dropped from here on");
            }
        }
        self.changed.notify_all();
    }

    pub(super) fn set_run_id(&self, run_id: String) {
        self.lock().run_id = Some(run_id);
    }

    /// The run's id, how much has been logged, and what waits.
    pub(super) fn position(&self) -> (Option<String>, u64, Numbered<S::Item>) {
        let state = self.lock();
        (state.run_id.clone(), state.next, state.waiting.iter().cloned().collect())
    }

    /// How much still waits when it is empty, or after so long.
    pub(super) fn wait_until_empty(&self, patience: Duration) -> usize {
        let empty = |state: &mut Contents<S::Item>| !state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, empty);
        waited.map_or(0, |(state, _)| state.waiting.len())
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// What can be sent in one request; none when nothing will come any more.
    pub(super) fn next(&self) -> Option<(Option<String>, Numbered<S::Item>)> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        let limit = state.waiting.front().map_or(1, |(_, item)| S::at_most(item));
        let batch = state.waiting.iter().take_while(|(_, item)| S::at_most(item) == limit).take(limit.max(1));
        Some((state.run_id.clone(), batch.cloned().collect()))
    }

    /// These are sent (or refused); the oldest of them may have been dropped meanwhile.
    pub(super) fn done(&self, last: u64) {
        let mut state = self.lock();
        while let Some((_, item)) = state.waiting.pop_front_if(|(number, _)| *number <= last) {
            state.size -= S::size(&item);
        }
        state.overflowed = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits, but not longer than the queue is open.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        while !state.closed {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(_) => break,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::logger::Entry;
    use crate::remote::Failure;

    /// Numbers below 10 are kept, and of these three go together.
    #[derive(Clone)]
    struct Numbers;

    impl Service for Numbers {
        type Item = u64;
        const NAME: &'static str = "Numbers";

        fn address(&self) -> &str {
            "http://127.0.0.1:9"
        }

        fn items(&self, _: &Entry) -> Result<Vec<u64>> {
            Ok(Vec::new())
        }

        fn send(&mut self, _: &str, _: &[&u64]) -> std::result::Result<(), Failure> {
            Ok(())
        }

        fn at_most(item: &u64) -> usize {
            if *item < 10 { 3 } else { 1000 }
        }

        fn may_be_lost(item: &u64) -> bool {
            *item >= 10
        }
    }

    fn queue() -> Queue<Numbers> {
        Queue::new(None, Vec::new(), 0)
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_that_may_be_lost_goes_first() {
        let queue = queue();
        [1, 2].into_iter().for_each(|kept| queue.put(kept));
        (10..ROOM as u64 + 20).for_each(|lost| queue.put(lost));
        let waiting: Vec<u64> = queue.position().2.into_iter().map(|(_, item)| item).collect();
        assert_eq!(waiting.len(), ROOM);
        assert_eq!(waiting[..3], [1, 2, 22]);
        assert_eq!(waiting[ROOM - 1], ROOM as u64 + 19);
    }

    #[test]
    fn a_request_holds_things_of_one_kind_and_no_more_than_the_server_takes() {
        let queue = queue();
        queue.put(1);
        (0..2500).for_each(|step| queue.put(100 + step));
        (0..7).for_each(|kept| queue.put(kept));
        let mut sizes = Vec::new();
        while queue.wait_until_empty(Duration::ZERO) > 0 {
            let (_, batch) = queue.next().unwrap();
            sizes.push(batch.len());
            queue.done(batch.last().unwrap().0);
        }
        assert_eq!(sizes, [1, 1000, 1000, 500, 3, 3, 1]);
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_is_dropped_while_it_is_being_sent_is_not_taken_off_twice() {
        let queue = queue();
        (0..ROOM as u64).for_each(|step| queue.put(100 + step));
        let (_, batch) = queue.next().unwrap();
        (0..500).for_each(|step| queue.put(100 + step));
        queue.done(batch.last().unwrap().0);
        assert_eq!(queue.position().2.len(), ROOM - 500);
        assert_eq!(queue.lock().size, ROOM - 500);
    }
}
