//! Numbers against numbers: errors, explained variance, correlation.
pub(crate) mod correlation;
pub(crate) mod errors;
pub(crate) mod r2_score;

pub use correlation::Correlation;
pub use errors::MeanError;
pub use r2_score::{MultiOutput, R2Score};
