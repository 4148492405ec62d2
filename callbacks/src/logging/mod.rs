//! What tells: loggers, journal, log, console, progress bars.
mod console;
mod feed;
mod journal;
pub(crate) mod outbox;
pub(crate) mod progress;
mod run_log;
mod waiting;
mod writer;

pub use console::Console;
pub use feed::Loggers;
pub use journal::Journal;
pub use outbox::Outbox;
pub use progress::Progress;
pub use run_log::{RunLog, Tee};
