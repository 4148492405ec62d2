//! What decides: when to stop, to evaluate, to take a snapshot, to give up.
mod checkpoint;
mod early_stopping;
mod finite_model;
mod max_steps;
pub(crate) mod nan_guard;
pub(crate) mod never_due;
mod signals;
mod validate;

pub use checkpoint::{Checkpoint, SnapshotPolicy, goal};
pub use early_stopping::EarlyStopping;
pub use finite_model::FiniteModel;
pub use max_steps::MaxSteps;
pub use nan_guard::{NanGuard, OnNan};
pub use signals::Signals;
pub use validate::Validate;
