//! For runners: what drives a chain of callbacks through a run. A callback needs nothing of it.
//!
//! [`Driver`] sends the events and keeps the counters; a runner tells it which stage, loader and batch is entered.
pub use crate::chain::{Chain, Member};
pub use crate::driver::{Driver, RunProgress};
pub use crate::scope::{LoaderScope, PassScope, RunSettings, StageScope};
