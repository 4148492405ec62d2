//! Schedules: learning rates (and momentum) as pure functions of a counter.
//!
//! Names and arguments are those of `torch.optim.lr_scheduler`. Counter 0 is the first step.
//!
//! * torch's: [`Constant`], [`Linear`], [`Step`], [`MultiStep`], [`Exponential`], [`Polynomial`], [`CosineAnnealing`],
//!   [`CosineAnnealingWarmRestarts`], [`OneCycle`], [`Cyclic`]; from closures [`Lambda`] and [`Multiplicative`]; by a metric
//!   [`Plateau`]
//! * others: [`Noam`], [`InverseSqrt`], [`WarmupStableDecay`]
//! * of other schedules: [`Warmup`], [`Sequential`], [`Chained`]; before averaging weights [`SwaLr`]
//! * [`AnySchedule`] and [`from_value`] read `{"name": "step", "step_size": 30}`
mod any;
mod chained;
mod constant;
mod cosine;
mod cyclic;
mod exponential;
mod inverse_sqrt;
mod lambda;
mod linear;
mod multi_step;
mod multiplicative;
mod noam;
mod one_cycle;
mod plateau;
mod polynomial;
mod registry;
mod sequential;
mod step;
mod swa_lr;
mod warm_restarts;
mod warmup;
mod warmup_stable_decay;

use serde_json::Value;

pub use any::AnySchedule;
pub use chained::Chained;
pub use constant::Constant;
pub use cosine::CosineAnnealing;
pub use cyclic::{Cyclic, CyclicMode};
pub use exponential::Exponential;
pub use inverse_sqrt::InverseSqrt;
pub use lambda::Lambda;
pub use linear::Linear;
pub use multi_step::MultiStep;
pub use multiplicative::Multiplicative;
pub use noam::Noam;
pub use one_cycle::{AnnealStrategy, OneCycle};
pub use plateau::{MinLr, Plateau, PlateauMode, PlateauState, ThresholdMode};
pub use polynomial::Polynomial;
pub use registry::{from_value, registry};
pub use sequential::Sequential;
pub use step::Step;
pub use swa_lr::SwaLr;
pub use warm_restarts::CosineAnnealingWarmRestarts;
pub use warmup::Warmup;
pub use warmup_stable_decay::{DecayType, WarmupStableDecay};

use crate::error::Result;

/// From a counter to a learning rate.
///
/// ```
/// use catena_tensor::schedule::{CosineAnnealing, Schedule};
///
/// let cosine = CosineAnnealing::new(100);
/// assert_eq!(cosine.lr(0.1, 0), 0.1);
/// assert!((cosine.lr(0.1, 50) - 0.05).abs() < 1e-12);
/// ```
pub trait Schedule: std::fmt::Debug {
    /// The learning rate at `counter` (the first step has counter 0) of a group that was made with `base_lr`.
    fn lr(&self, base_lr: f64, counter: u64) -> f64;

    /// The momentum (SGD) or first beta (Adam and its kin) at `counter`, if the schedule moves it.
    fn momentum(&self, counter: u64) -> Option<f64> {
        let _ = counter;
        None
    }

    /// For how many steps the schedule is made, if it is made for so many: a run that goes on after them is told (default none: it may go on for ever).
    fn total_steps(&self) -> Option<u64> {
        None
    }

    /// Whether every setting is in its range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The name, as in torch in snake case without `LR`.
    fn name(&self) -> &'static str;

    /// What [`from_value`] reads; null for a schedule that lives in code only, or has a part that does.
    fn settings(&self) -> Value {
        Value::Null
    }
}

/// The methods of [`Schedule`] that follow from the table of settings ([`Configured`](crate::settings::Configured)).
macro_rules! as_data {
    () => {
        fn check(&self) -> crate::error::Result<()> {
            self.check_settings()
        }

        fn name(&self) -> &'static str {
            Self::NAME
        }

        fn settings(&self) -> serde_json::Value {
            self.written()
        }
    };
}
use as_data;
