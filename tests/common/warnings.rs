//! What is logged as a warning.
use std::sync::{Mutex, PoisonError};

struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// What is warned of while a call runs; tests of one process take turns with `Exclusive`.
pub(crate) fn warnings(run: impl FnOnce()) -> Vec<String> {
    let _there = log::set_logger(&WARNINGS);
    log::set_max_level(log::LevelFilter::Warn);
    WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    run();
    std::mem::take(&mut *WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner))
}
