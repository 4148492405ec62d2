//! What waits to be sent, and the thread that sends it.
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::{Client, Failure};
use super::item::Item;

/// What waits, bounded.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// In their order, each with its number.
    waiting: VecDeque<(u64, Item)>,
    size: usize,
    next: u64,
    overflowed: bool,
    run_id: Option<String>,
    closed: bool,
}

/// Things with their numbers.
type Batch = Vec<(u64, Item)>;

/// The size of what may wait; a metric's is 1.
const ROOM: usize = 50_000;

/// MLflow's limits of one request.
const METRICS: usize = 1000;
const PARAMS: usize = 100;

/// How long it is waited after the first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Queue {
    /// With what waits already, and how much has been logged.
    pub(super) fn new(run_id: Option<String>, waiting: Vec<(u64, Item)>, logged: u64) -> Self {
        let size = waiting.iter().map(|(_, item)| item.size()).sum();
        let waiting = waiting.into();
        let state = State { run_id, waiting, size, next: logged, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, item: Item) {
        let mut state = self.lock();
        state.size += item.size();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, item));
        while state.size > ROOM {
            let Some(oldest) = state.waiting.iter().position(|(_, item)| item.may_be_lost()) else { break };
            if let Some((_, lost)) = state.waiting.remove(oldest) {
                state.size -= lost.size();
            }
            if !std::mem::replace(&mut state.overflowed, true) {
                log::warn!("Mlflow: {ROOM} values wait for the server; the oldest are dropped from here on");
            }
        }
        self.changed.notify_all();
    }

    pub(super) fn set_run_id(&self, run_id: String) {
        self.lock().run_id = Some(run_id);
    }

    /// The run's id, how much has been logged, and what waits.
    pub(super) fn position(&self) -> (Option<String>, u64, Vec<(u64, Item)>) {
        let state = self.lock();
        (state.run_id.clone(), state.next, state.waiting.iter().cloned().collect())
    }

    /// How much still waits when it is empty, or after so long.
    pub(super) fn wait_until_empty(&self, patience: Duration) -> usize {
        let empty = |state: &mut State| !state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, empty);
        waited.map_or(0, |(state, _)| state.waiting.len())
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// What can be sent in one request; none when nothing will come any more.
    fn next(&self) -> Option<(Option<String>, Batch)> {
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
        let alike = |item: &Item| match item {
            Item::Metric { .. } => METRICS,
            Item::Param { .. } => PARAMS,
            Item::Bytes { .. } | Item::File { .. } | Item::Status { .. } => 1,
        };
        let limit = state.waiting.front().map_or(1, |(_, item)| alike(item));
        let batch = state.waiting.iter().take_while(|(_, item)| alike(item) == limit).take(limit);
        Some((state.run_id.clone(), batch.cloned().collect()))
    }

    /// These are sent (or refused); the oldest of them may have been dropped meanwhile.
    fn done(&self, last: u64) {
        let mut state = self.lock();
        while let Some((_, item)) = state.waiting.pop_front_if(|(number, _)| *number <= last) {
            state.size -= item.size();
        }
        state.overflowed = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits, but not longer than the queue is open.
    fn pause(&self, pause: Duration) {
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

/// Sends what waits until the queue is closed.
pub(super) fn work(queue: &Queue, mut client: Client) {
    let (mut pause, mut told, mut refused) = (FIRST_PAUSE, Told::default(), 0);
    while let Some((run_id, batch)) = queue.next() {
        let sent = client.open(run_id).and_then(|run_id| {
            queue.set_run_id(run_id);
            send(&client, &batch, &mut refused)
        });
        if let Err(failure) = sent {
            told.tell(&failure);
            queue.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            continue;
        }
        if std::mem::take(&mut told).any() {
            log::info!("Mlflow: the server takes what it is sent again");
        }
        pause = FIRST_PAUSE;
        if let Some((last, _)) = batch.last() {
            queue.done(*last);
        }
    }
}

/// What was told since the server took something last: of each kind of failure the first.
#[derive(Default)]
struct Told {
    away: bool,
    denied: bool,
}

impl Told {
    fn any(&self) -> bool {
        self.away || self.denied
    }

    fn tell(&mut self, failure: &Failure) {
        match failure {
            Failure::Denied(text) if !std::mem::replace(&mut self.denied, true) => log::warn!(
                "Mlflow: the server refuses the run: {text}; {ROOM} values wait for it, then the oldest are dropped"
            ),
            Failure::Away(text) | Failure::Refused(text) if !std::mem::replace(&mut self.away, true) => {
                log::warn!("Mlflow: the server can't be reached, which is tried again: {text}");
            }
            _ => {}
        }
    }
}

fn send(client: &Client, batch: &[(u64, Item)], refused: &mut u32) -> Result<(), Failure> {
    let send = |items: &mut dyn Iterator<Item = &Item>| match client.send(items) {
        Err(Failure::Refused(text)) => Err(client.why(text)),
        sent => sent,
    };
    let text = match send(&mut batch.iter().map(|(_, item)| item)) {
        Err(Failure::Refused(text)) => text,
        other => return other,
    };
    if batch.len() == 1 {
        tell(refused, &text);
        return Ok(());
    }
    for (_, item) in batch {
        match send(&mut std::iter::once(item)) {
            Err(Failure::Refused(text)) => tell(refused, &text),
            other => other?,
        }
    }
    Ok(())
}

/// How many refusals are told.
const TOLD: u32 = 3;

fn tell(refused: &mut u32, text: &str) {
    *refused += 1;
    match (*refused).cmp(&TOLD) {
        Ordering::Less => log::warn!("Mlflow: the server refuses what it is sent: {text}"),
        Ordering::Equal => {
            log::warn!("Mlflow: the server refuses what it is sent (more is not told): {text}")
        }
        Ordering::Greater => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(step: u64) -> Item {
        Item::Metric { key: "m".into(), value: 0.5.into(), timestamp: 0, step }
    }

    fn status() -> Item {
        Item::Status { status: "RUNNING".into(), end_time: None }
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_metrics_go_first() {
        let queue = Queue::new(None, Vec::new(), 0);
        queue.put(status());
        queue.put(Item::Param { key: "lr".into(), value: "1".into() });
        (0..ROOM as u64 + 10).for_each(|step| queue.put(metric(step)));
        let waiting: Vec<Item> = queue.position().2.into_iter().map(|(_, item)| item).collect();
        assert_eq!(waiting.len(), ROOM);
        assert_eq!(waiting[0], status());
        assert_eq!(waiting[2], metric(12));
        assert_eq!(waiting[ROOM - 1], metric(ROOM as u64 + 9));
    }

    #[test]
    fn a_request_holds_things_of_one_kind_and_no_more_than_mlflow_takes() {
        let queue = Queue::new(None, Vec::new(), 0);
        queue.put(status());
        (0..2500).for_each(|step| queue.put(metric(step)));
        (0..150).for_each(|i| queue.put(Item::Param { key: i.to_string(), value: String::new() }));
        let mut sizes = Vec::new();
        while queue.wait_until_empty(Duration::ZERO) > 0 {
            let (_, batch) = queue.next().unwrap();
            sizes.push(batch.len());
            queue.done(batch.last().unwrap().0);
        }
        assert_eq!(sizes, [1, 1000, 1000, 500, 100, 50]);
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_is_dropped_while_it_is_being_sent_is_not_taken_off_twice() {
        let queue = Queue::new(None, Vec::new(), 0);
        (0..ROOM as u64).for_each(|step| queue.put(metric(step)));
        let (_, batch) = queue.next().unwrap();
        (0..500).for_each(|step| queue.put(metric(step)));
        queue.done(batch.last().unwrap().0);
        assert_eq!(queue.position().2.len(), ROOM - 500);
        assert_eq!(queue.lock().size, ROOM - 500);
    }
}
