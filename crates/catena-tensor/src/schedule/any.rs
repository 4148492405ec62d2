//! Any schedule, as a value.
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Schedule;
use crate::error::Result;
use crate::settings::write_named;

/// Any schedule: one of catena's, which `{"name": "cosine_annealing", "t_max": 100}` reads as, or one of your own.
///
/// Names are torch's classes in snake case without `LR`, settings are torch's arguments in lower case. An unknown name or setting is an
/// error that lists the known ones. Two are equal if they are the same one, or have the same settings.
///
/// ```
/// use catena_tensor::schedule::{AnySchedule, CosineAnnealing, Schedule};
/// use serde_json::json;
///
/// let schedule = AnySchedule::from_value(json!({"name": "cosine_annealing", "t_max": 100}))?;
/// assert_eq!(schedule, CosineAnnealing::new(100).into());
/// assert_eq!(serde_json::to_value(&schedule)?, json!({"name": "cosine_annealing", "t_max": 100, "eta_min": 0.0}));
///
/// let error = AnySchedule::from_value(json!({"name": "cosine_annealing", "tmax": 100})).unwrap_err();
/// assert_eq!(error.to_string(), "cosine_annealing: unknown field `tmax`, expected `t_max` or `eta_min`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnySchedule(Arc<dyn Schedule + Send + Sync>);

impl AnySchedule {
    /// A schedule of your own, to be a part of [`Sequential`](super::Sequential), [`Chained`](super::Chained) or
    /// [`Warmup`](super::Warmup). It lives in code only, so it can't be written to a file.
    pub fn own(schedule: impl Schedule + Send + Sync + 'static) -> Self {
        Self(Arc::new(schedule))
    }
}

impl PartialEq for AnySchedule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.settings() != Value::Null && self.settings() == other.settings())
    }
}

impl From<Box<dyn Schedule + Send + Sync>> for AnySchedule {
    fn from(schedule: Box<dyn Schedule + Send + Sync>) -> Self {
        Self(schedule.into())
    }
}

impl Schedule for AnySchedule {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        self.0.lr(base_lr, counter)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.0.momentum(counter)
    }

    fn total_steps(&self) -> Option<u64> {
        self.0.total_steps()
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn settings(&self) -> Value {
        self.0.settings()
    }
}

impl Serialize for AnySchedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        write_named("schedule", self.name(), self.settings(), serializer)
    }
}
