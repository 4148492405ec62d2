//! Times as catena writes them.
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;

/// A time in seconds since 1970; none if the text is none that catena writes.
pub(crate) fn seconds(time: &str) -> Option<f64> {
    DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp_micros() as f64 / 1e6)
}

/// The time now, in seconds since 1970.
pub(crate) fn now() -> f64 {
    since_1970(SystemTime::now())
}

/// A time of the operating system in seconds since 1970.
pub(crate) fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
