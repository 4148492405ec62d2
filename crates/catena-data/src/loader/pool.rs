//! Worker threads, which wait for chunks of batches and make them.
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::work::{Job, Outcome, locked};
use crate::Result;

pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// What each thread makes. Nobody else locks it but who waits long, so that a sample costs the others nothing.
    busy: Vec<Mutex<Option<Busy>>>,
    /// There is work, or the pool is closed.
    work: Condvar,
    /// A batch is done, or a thread has ended.
    done: Condvar,
}

struct State {
    queue: VecDeque<(Arc<Job>, usize)>,
    closed: bool,
    alive: usize,
}

/// A sample that is being made.
struct Busy {
    sample: u64,
    since: Instant,
    was_told: bool,
}

impl Pool {
    pub(super) fn new(workers: usize, loader: u64, patience: Duration) -> Result<Self> {
        let state = State { queue: VecDeque::new(), closed: false, alive: 0 };
        let busy = (0..workers).map(|_| Mutex::new(None)).collect();
        let shared = Shared { state: Mutex::new(state), busy, work: Condvar::new(), done: Condvar::new() };
        let mut pool = Self { shared: Arc::new(shared), threads: Vec::new(), patience };
        for worker in 0..workers {
            let shared = pool.shared.clone();
            locked(&shared.state).alive += 1;
            let ends = Ends(shared.clone(), worker);
            let thread =
                std::thread::Builder::new().name(format!("data-{loader}-{worker}")).spawn(move || {
                    let ends = ends;
                    work(&shared, ends.1);
                });
            pool.threads.push(thread.map_err(|why| {
                format!("worker {worker} of {workers} can't be started: {why}; take fewer `workers`")
            })?);
        }
        Ok(pool)
    }

    /// Puts all chunks of a batch in the queue.
    pub(super) fn add(&self, job: &Arc<Job>) {
        locked(&self.shared.state).queue.extend((0..job.chunks).map(|chunk| (job.clone(), chunk)));
        self.shared.work.notify_all();
    }

    /// Forgets what is not begun.
    pub(super) fn clear(&self) {
        locked(&self.shared.state).queue.clear();
    }

    /// Waits for a batch, and names samples that take longer than `slow`.
    pub(super) fn wait(&self, job: &Job, slow: Duration) -> Result<Outcome> {
        let mut state = locked(&self.shared.state);
        loop {
            if let Some(outcome) = job.outcome() {
                return Ok(outcome);
            }
            // what that thread had begun is not finished by another
            if state.alive < self.threads.len() {
                return Err("a worker thread has ended by a panic; leave the loader and start it anew".into());
            }
            let mut next = slow;
            for busy in &self.shared.busy {
                let mut busy = locked(busy);
                let Some(busy) = busy.as_mut().filter(|busy| !busy.was_told) else { continue };
                let taken = busy.since.elapsed();
                if taken >= slow {
                    busy.was_told = true;
                    log::warn!(
                        "the batch waits for sample {}, which takes longer than {slow:?}",
                        busy.sample
                    );
                } else {
                    next = next.min(slow - taken);
                }
            }
            let wait = self.shared.done.wait_timeout(state, next.max(Duration::from_millis(1)));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = locked(&self.shared.state);
        state.closed = true;
        state.queue.clear();
        self.shared.work.notify_all();
        let end = Instant::now() + self.patience;
        while state.alive > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let made =
                    |busy: &Mutex<Option<Busy>>| locked(busy).as_ref().map(|busy| busy.sample.to_string());
                let samples: Vec<_> = self.shared.busy.iter().filter_map(made).collect();
                log::warn!(
                    "{} of the loader's threads did not end within {:?} and are left to themselves: `get` does not return for sample {}",
                    state.alive,
                    self.patience,
                    samples.join(", ")
                );
                return;
            }
            let wait = self.shared.done.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        for thread in self.threads.drain(..) {
            // a panic outside of what is caught was printed by its thread
            drop(thread.join());
        }
    }
}

/// Says that a thread has ended, however it does.
struct Ends(Arc<Shared>, usize);

impl Drop for Ends {
    fn drop(&mut self) {
        locked(&self.0.state).alive -= 1;
        self.0.done.notify_all();
    }
}

fn work(shared: &Shared, worker: usize) {
    let note = |sample: Option<u64>| {
        let busy = sample.map(|sample| Busy { sample, since: Instant::now(), was_told: false });
        *locked(&shared.busy[worker]) = busy;
    };
    loop {
        let mut state = locked(&shared.state);
        let (job, chunk) = loop {
            if state.closed {
                return;
            }
            if let Some(next) = state.queue.pop_front() {
                break next;
            }
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        if job.run(chunk, &note) {
            drop(locked(&shared.state));
            shared.done.notify_all();
        }
    }
}
