//! What moves settings of optimizers while a run lasts.
mod lr_finder;
mod lr_schedule;
mod reduce_lr_on_plateau;

pub use lr_finder::{LrCurve, LrFinder};
pub use lr_schedule::LrSchedule;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
