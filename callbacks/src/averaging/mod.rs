//! Averages of weights, and what moves one part of a model towards another.
pub(crate) mod average;
mod batch_norm;
mod ema;
mod lookahead;
mod soft_update;
mod swa;

pub use average::averaged;
pub use ema::Ema;
pub use lookahead::Lookahead;
pub use soft_update::SoftUpdate;
pub use swa::Swa;
