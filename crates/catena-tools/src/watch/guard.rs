//! Ends the program when its terminal is gone: what waits for keys there may wait for ever, and turn the processor meanwhile.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::signals::Signals;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// After how many looks at one and the same wait, which takes less than a look, the terminal is gone: with a signal, and without.
const LOOKS: (u32, u32) = (4, 12);

/// Looks after the waits for keys.
pub(super) struct Guard {
    /// The number of waits, their beginnings and ends counted: odd during one. All ones at the end.
    count: Arc<AtomicU64>,
}

impl Guard {
    pub(super) fn begin(signals: Signals) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&count);
        thread::spawn(move || look_after(&seen, &signals));
        Self { count }
    }

    /// Waits for a key.
    pub(super) fn during<T>(&self, wait: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let waited = wait();
        self.count.fetch_add(1, Ordering::Relaxed);
        waited
    }

    pub(super) fn end(&self) {
        self.count.store(u64::MAX, Ordering::Relaxed);
    }
}

fn look_after(count: &AtomicU64, signals: &Signals) {
    let (mut last, mut looks) = (0, 0);
    loop {
        thread::sleep(EVERY);
        let now = count.load(Ordering::Relaxed);
        if now == u64::MAX {
            return;
        }
        looks = if now == last && now % 2 == 1 { looks + 1 } else { 0 };
        last = now;
        let most = if signals.caught().is_some() { LOOKS.0 } else { LOOKS.1 };
        if looks >= most {
            // nothing is left to tell of a terminal that is gone
            let _given_back = ratatui::try_restore();
            let _ended = signals.pass_on();
            std::process::exit(2);
        }
    }
}
