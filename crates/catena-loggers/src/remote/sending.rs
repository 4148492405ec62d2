//! The thread that sends what waits, and pauses after failures.
use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

use catena_tensor::panics::caught;

use super::queue::{Queue, ROOM};
use super::run_file::RunFile;
use super::service::{Failure, Service};

/// How long it is waited after the first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends what waits until the queue is closed.
pub(super) fn work<S: Service>(queue: &Queue<S>, mut service: S, dir: Option<&Path>) {
    let (mut pause, mut told, mut refused) = (FIRST_PAUSE, Told::default(), 0);
    let mut open = None;
    while let Some((known, batch)) = queue.next() {
        let run_id = match &open {
            Some(run_id) => Ok(String::clone(run_id)),
            None => guarded(|| service.open(known.as_deref())).inspect(|run_id| {
                if let Some(dir) = dir {
                    RunFile::new(service.address(), run_id, dir).write(S::NAME, dir);
                }
                queue.set_run_id(run_id.clone());
                open = Some(run_id.clone());
            }),
        };
        if let Err(failure) = run_id.and_then(|run_id| send(&mut service, &run_id, &batch, &mut refused)) {
            told.tell(S::NAME, &failure);
            queue.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            continue;
        }
        if std::mem::take(&mut told).any() {
            log::info!("{}: the server takes what it is sent again", S::NAME);
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

    fn tell(&mut self, name: &str, failure: &Failure) {
        match failure {
            Failure::Denied(text) if !std::mem::replace(&mut self.denied, true) => log::warn!(
                "{name}: the server refuses the run: {text}; {ROOM} values wait for it, then the oldest are dropped"
            ),
            Failure::Away(text) | Failure::Refused(text) if !std::mem::replace(&mut self.away, true) => {
                log::warn!("{name}: the server can't be reached, which is tried again: {text}");
            }
            _ => {}
        }
    }
}

/// A panic in a service ends no thread: what it was to send is left out.
fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    caught(call).unwrap_or_else(|panic| Err(Failure::Refused(format!("sending it panicked: {panic}"))))
}

fn send<S: Service>(
    service: &mut S,
    run_id: &str,
    batch: &[(u64, S::Item)],
    refused: &mut u32,
) -> Result<(), Failure> {
    let mut send = |items: &[&S::Item]| match guarded(|| service.send(run_id, items)) {
        Err(Failure::Refused(text)) => guarded(|| Err(service.why_refused(run_id, text))),
        sent => sent,
    };
    let items: Vec<&S::Item> = batch.iter().map(|(_, item)| item).collect();
    let text = match send(&items) {
        Err(Failure::Refused(text)) => text,
        other => return other,
    };
    if items.len() == 1 {
        tell(S::NAME, refused, &text);
        return Ok(());
    }
    for item in items {
        match send(&[item]) {
            Err(Failure::Refused(text)) => tell(S::NAME, refused, &text),
            other => other?,
        }
    }
    Ok(())
}

/// How many refusals are told.
const TOLD: u32 = 3;

fn tell(name: &str, refused: &mut u32, text: &str) {
    *refused += 1;
    match (*refused).cmp(&TOLD) {
        Ordering::Less => log::warn!("{name}: the server refuses what it is sent: {text}"),
        Ordering::Equal => {
            log::warn!("{name}: the server refuses what it is sent (more is not told): {text}")
        }
        Ordering::Greater => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::Result;
    use crate::logger::Entry;

    /// Panics when it is sent a 2, and writes down everything else.
    #[derive(Clone)]
    struct Panicky(Arc<Mutex<Vec<u64>>>);

    impl Service for Panicky {
        type Item = u64;
        const NAME: &'static str = "Panicky";

        fn address(&self) -> &str {
            "http://127.0.0.1:9"
        }

        fn items(&self, _: &Entry) -> Result<Vec<u64>> {
            Ok(Vec::new())
        }

        fn send(&mut self, _: &str, items: &[&u64]) -> std::result::Result<(), Failure> {
            assert!(!items.contains(&&2), "two");
            self.0.lock().unwrap().extend(items.iter().copied());
            Ok(())
        }

        fn at_most(_: &u64) -> usize {
            3
        }
    }

    #[test]
    fn a_panic_in_a_service_leaves_out_what_it_was_to_send_and_ends_no_thread() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let queue = Queue::new(None, Vec::new(), 0);
        (0..5).for_each(|item| queue.put(item));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| work(&queue, Panicky(sent.clone()), None));
            assert_eq!(queue.wait_until_empty(Duration::from_secs(60)), 0);
            queue.close();
            thread.join().unwrap();
        });
        assert_eq!(*sent.lock().unwrap(), [0, 1, 3, 4]);
        assert_eq!(queue.position().2, []);
    }
}
