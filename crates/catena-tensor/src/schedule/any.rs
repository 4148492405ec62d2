//! Schedules by name, as a file has them.
use std::fmt::Debug;
use std::sync::Arc;

use catena_record::float;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::*;
use crate::settings;

/// A schedule of the user's own, or one made from a closure. Two are equal if they are the same one.
#[derive(Clone, Debug)]
pub struct InCode(Arc<dyn Schedule + Send + Sync>);

impl PartialEq for InCode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

macro_rules! schedules {
    ($($name:literal $kind:ident)*) => {
        /// Any of catena's schedules: what `{"name": "cosine_annealing", "t_max": 100}` reads as.
        ///
        /// Names are torch's classes in snake case without `LR`, settings are torch's arguments in lower case. An unknown name
        /// or setting is an error that lists the known ones.
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
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "name")]
        #[non_exhaustive]
        pub enum AnySchedule {
            $(#[doc = concat!("`", $name, "`.")] #[serde(rename = $name)] $kind($kind),)*
            /// One that lives in code only: [`Lambda`], [`Multiplicative`] or the user's own. It can't be written to a file.
            #[serde(skip)]
            InCode(InCode),
        }

        impl AnySchedule {
            /// The names that [`AnySchedule::from_value`] knows.
            pub const NAMES: &[&str] = &[$($name),*];

            fn inner(&self) -> &dyn Schedule {
                match self {
                    $(Self::$kind(schedule) => schedule,)*
                    Self::InCode(InCode(schedule)) => schedule.as_ref(),
                }
            }
        }

        /// By hand, because serde's own way with a `tag` does not see that `"inf"` stands for a float.
        impl<'de> Deserialize<'de> for AnySchedule {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let mut settings = Map::deserialize(deserializer)?;
                let name = match settings.remove("name") {
                    Some(Value::String(name)) => name,
                    Some(other) => {
                        let text = format!("its `name` is {other}, but must be one of {}", Self::NAMES.join(", "));
                        return Err(D::Error::custom(text));
                    }
                    None => return Err(D::Error::missing_field("name")),
                };
                let settings = Value::Object(settings);
                match name.as_str() {
                    $($name => float::from_value(&settings).map(Self::$kind).map_err(D::Error::custom),)*
                    _ => Err(D::Error::unknown_variant(&name, Self::NAMES)),
                }
            }
        }

        $(impl From<$kind> for AnySchedule {
            fn from(schedule: $kind) -> Self {
                Self::$kind(schedule)
            }
        })*
    };
}

schedules! {
    "chained" Chained
    "constant" Constant
    "cosine_annealing" CosineAnnealing
    "cosine_annealing_warm_restarts" CosineAnnealingWarmRestarts
    "cyclic" Cyclic
    "exponential" Exponential
    "inverse_sqrt" InverseSqrt
    "linear" Linear
    "multi_step" MultiStep
    "noam" Noam
    "one_cycle" OneCycle
    "polynomial" Polynomial
    "sequential" Sequential
    "step" Step
    "swa" SwaLr
    "warmup" Warmup
    "warmup_stable_decay" WarmupStableDecay
}

impl AnySchedule {
    /// A schedule of your own, to be a part of [`Sequential`], [`Chained`] or [`Warmup`].
    pub fn own(schedule: impl Schedule + Send + Sync + 'static) -> Self {
        Self::InCode(InCode(Arc::new(schedule)))
    }

    /// Reads `{"name": …, …}` and checks the settings.
    pub fn from_value(settings: Value) -> Result<Self> {
        let wrong = |of: &str, why: String| Error::Settings { of: of.into(), why };
        let names = || Self::NAMES.join(", ");
        let Some(name) = settings.get("name").and_then(Value::as_str).map(str::to_owned) else {
            return Err(wrong("schedule", format!("it needs a `name`, one of: {}", names())));
        };
        if !Self::NAMES.contains(&name.as_str()) {
            return Err(match name.as_str() {
                "reduce_on_plateau" => {
                    wrong(&name, "it goes by a metric, not by a counter: read it as a `Plateau`".into())
                }
                "lambda" | "multiplicative" => {
                    wrong(&name, "it is made from a closure, so it can't be read: make it in code".into())
                }
                _ => wrong("schedule", format!("none is named `{name}`; there are: {}", names())),
            });
        }
        let schedule: Self = settings::read(&name, settings)?;
        schedule.check()?;
        Ok(schedule)
    }
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

impl Schedule for AnySchedule {
    fn lr(&self, base_lr: f64, counter: u64) -> f64 {
        self.inner().lr(base_lr, counter)
    }

    fn momentum(&self, counter: u64) -> Option<f64> {
        self.inner().momentum(counter)
    }

    fn total_steps(&self) -> Option<u64> {
        self.inner().total_steps()
    }

    fn check(&self) -> Result<()> {
        self.inner().check()
    }

    fn name(&self) -> &'static str {
        self.inner().name()
    }

    fn settings(&self) -> Value {
        self.inner().settings()
    }
}
