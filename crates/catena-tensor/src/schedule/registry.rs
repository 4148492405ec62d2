//! Schedules by name, as a file has them.
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Schedule;
use super::any::AnySchedule;
use super::chained::Chained;
use super::constant::Constant;
use super::cosine::CosineAnnealing;
use super::cyclic::Cyclic;
use super::exponential::Exponential;
use super::inverse_sqrt::InverseSqrt;
use super::lambda::Lambda;
use super::linear::Linear;
use super::multi_step::MultiStep;
use super::multiplicative::Multiplicative;
use super::noam::Noam;
use super::one_cycle::OneCycle;
use super::polynomial::Polynomial;
use super::sequential::Sequential;
use super::step::Step;
use super::swa_lr::SwaLr;
use super::warm_restarts::CosineAnnealingWarmRestarts;
use super::warmup::Warmup;
use super::warmup_stable_decay::WarmupStableDecay;
use crate::error::{Error, Result};
use crate::settings::{self, Configured, Entry, Registry};

type Boxed = dyn Schedule + Send + Sync;

const fn entry<S: Schedule + Configured + Send + Sync>() -> Entry<Boxed> {
    Entry::new::<S>(|settings| Ok(Box::new(settings::read::<S>(S::NAME, settings)?)))
}

macro_rules! schedules {
    ($($kind:ident)*) => {
        const SCHEDULES: Registry<Boxed> = Registry::new("schedule", "step", &[$(entry::<$kind>()),*]);

        impl AnySchedule {
            /// The names that [`AnySchedule::from_value`] knows.
            pub const NAMES: &[&str] = &[$($kind::NAME),*];
        }

        $(impl From<$kind> for AnySchedule {
            fn from(schedule: $kind) -> Self {
                Self::own(schedule)
            }
        })*
    };
}

schedules! {
    Chained
    Constant
    CosineAnnealing
    CosineAnnealingWarmRestarts
    Cyclic
    Exponential
    InverseSqrt
    Linear
    MultiStep
    Noam
    OneCycle
    Polynomial
    Sequential
    Step
    SwaLr
    Warmup
    WarmupStableDecay
}

/// catena's schedules by name, with their fields.
///
/// ```
/// let registry = catena_tensor::schedule::registry();
/// assert!(registry.names().any(|name| name == "one_cycle"));
/// ```
pub fn registry() -> Registry<dyn Schedule + Send + Sync> {
    SCHEDULES
}

/// Reads a schedule as [`AnySchedule::from_value`] does.
///
/// ```
/// let schedule = catena_tensor::schedule::from_value(serde_json::json!({"name": "step", "step_size": 30}))?;
/// assert_eq!(schedule.lr(1.0, 29), 1.0);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn from_value(settings: Value) -> Result<Box<dyn Schedule>> {
    Ok(Box::new(AnySchedule::from_value(settings)?))
}

impl AnySchedule {
    /// Reads `{"name": …, …}` and checks the settings.
    pub fn from_value(settings: Value) -> Result<Self> {
        let schedule = read(settings)?;
        schedule.check()?;
        Ok(schedule)
    }
}

fn read(settings: Value) -> Result<AnySchedule> {
    let name = settings.get("name").and_then(Value::as_str).unwrap_or_default();
    let why = match name {
        "reduce_on_plateau" => "it goes by a metric, not by a counter: read it as a `Plateau`",
        "lambda" | "multiplicative" => "it is made from a closure, so it can't be read: make it in code",
        _ => return SCHEDULES.read(settings).map(AnySchedule::from),
    };
    Err(Error::Settings { of: name.into(), why: why.into() })
}

impl<'de> Deserialize<'de> for AnySchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        read(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl From<Lambda> for AnySchedule {
    fn from(schedule: Lambda) -> Self {
        Self::own(schedule)
    }
}

impl From<Multiplicative> for AnySchedule {
    fn from(schedule: Multiplicative) -> Self {
        Self::own(schedule)
    }
}
