//! What all losses write alike, once: their tensors, their settings, and how PyTorch's reductions become a loss with its weight.
use serde_json::{Value, json};
use tch::{Reduction as Torchs, Tensor};

use super::Reduction;
use crate::batch::{Batch, Outputs};
use crate::error::{BoxError, Result};
use crate::settings::{Configured, Setting, require};

/// A loss to which PyTorch's reductions apply.
pub(super) trait Reduced: Configured {
    /// The words of `reduction` that it knows.
    const REDUCTIONS: &'static [&'static str] = &["mean", "sum"];

    /// How a batch becomes one number.
    fn reduction(&self) -> Reduction;

    /// The loss so reduced, and the count that its mean is over.
    fn reduced(&self, outputs: &Outputs, batch: &Batch, to: Torchs) -> Result<(Tensor, f64), BoxError>;

    /// What has to hold between settings.
    fn check_pairs(&self) -> Result<()> {
        Ok(())
    }
}

/// The setting that every such loss has.
pub(super) const fn reduction<L: Reduced>() -> Setting<L> {
    Setting::one_of("reduction", L::REDUCTIONS, "How the losses of a batch become one number")
}

/// A loss as a type: `tensors` are names of outputs and of tensors of the batch, `settings` are numbers and words. From its lines follow the fields, their defaults, a
/// setter for each, and the table of settings.
macro_rules! loss {
    (
        $(#[$about:meta])*
        $loss:ident = $name:literal;
        tensors { $($tensor:ident = $called:literal, $holds:literal;)+ }
        settings { $($setting:ident: $kind:ident($($range:tt)*) = $default:expr, $doc:literal;)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $loss {
            $($tensor: String,)+
            $($setting: loss!(@type $kind),)*
            reduction: super::Reduction,
        }

        impl Default for $loss {
            fn default() -> Self {
                Self {
                    $($tensor: $called.into(),)+
                    $($setting: $default,)*
                    reduction: super::Reduction::Mean,
                }
            }
        }

        impl $loss {
            /// With the defaults.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                #[doc = concat!("Takes ", $holds, " from the tensor of this name (default `", $called, "`).")]
                #[must_use]
                pub fn $tensor(mut self, name: impl Into<String>) -> Self {
                    self.$tensor = name.into();
                    self
                }
            )+

            $(loss!(@setter $kind $setting $doc concat!(" (default `", stringify!($default), "`)."));)*

            /// How the losses of a batch become one number (default [`Reduction::Mean`](crate::loss::Reduction::Mean)).
            #[must_use]
            pub fn reduction(mut self, reduction: impl Into<super::Reduction>) -> Self {
                self.reduction = reduction.into();
                self
            }
        }

        impl crate::settings::Configured for $loss {
            const NAME: &'static str = $name;
            const SETTINGS: &'static [crate::settings::Setting<Self>] = &[
                $(crate::settings::Setting::text(stringify!($tensor), concat!("The tensor that has ", $holds)),)+
                $(loss!(@setting $kind($($range)*) $setting $doc),)*
                super::form::reduction(),
            ];

            fn check_together(&self) -> crate::error::Result<()> {
                super::form::check_reduction(self)?;
                super::form::Reduced::check_pairs(self)
            }
        }
    };
    (@type number) => { f64 };
    (@type switch) => { bool };
    (@type whole) => { i64 };
    (@type label) => { Option<i64> };
    (@type weights) => { Option<super::Weights> };
    (@setter label $setting:ident $doc:literal $default:expr) => {
        #[doc = concat!($doc, $default)]
        #[must_use]
        pub fn $setting(mut self, $setting: i64) -> Self {
            self.$setting = Some($setting);
            self
        }
    };
    (@setter weights $setting:ident $doc:literal $default:expr) => {
        #[doc = concat!($doc, $default)]
        #[must_use]
        pub fn $setting(mut self, $setting: impl Into<super::Weights>) -> Self {
            self.$setting = Some($setting.into());
            self
        }
    };
    (@setter $kind:ident $setting:ident $doc:literal $default:expr) => {
        #[doc = concat!($doc, $default)]
        #[must_use]
        pub fn $setting(mut self, $setting: loss!(@type $kind)) -> Self {
            self.$setting = $setting;
            self
        }
    };
    (@setting number($range:expr) $setting:ident $doc:literal) => {
        crate::settings::Setting::number(stringify!($setting), |loss: &mut Self| &mut loss.$setting, $range, $doc)
    };
    (@setting switch() $setting:ident $doc:literal) => {
        crate::settings::Setting::switch(stringify!($setting), $doc)
    };
    (@setting whole() $setting:ident $doc:literal) => {
        crate::settings::Setting::other(stringify!($setting), "a whole number", "0", $doc)
    };
    (@setting label() $setting:ident $doc:literal) => {
        crate::settings::Setting::other(stringify!($setting), "a whole number, or null", "null", $doc)
    };
    (@setting weights() $setting:ident $doc:literal) => {
        crate::settings::Setting::other(stringify!($setting), "a list of numbers, or null", "null", $doc)
    };
}

/// The methods of [`LossFn`](super::LossFn) for what is [`Reduced`].
macro_rules! by_reduction {
    () => {
        fn loss(
            &mut self,
            outputs: &crate::batch::Outputs,
            batch: &crate::batch::Batch,
        ) -> Result<super::Loss, crate::error::BoxError> {
            super::form::total(self, outputs, batch)
        }

        fn unreduced(
            &mut self,
            outputs: &crate::batch::Outputs,
            batch: &crate::batch::Batch,
        ) -> Result<tch::Tensor, crate::error::BoxError> {
            Ok(super::form::Reduced::reduced(self, outputs, batch, tch::Reduction::None)?.0)
        }

        fn name(&self) -> &str {
            <Self as crate::settings::Configured>::NAME
        }

        fn settings(&self) -> serde_json::Value {
            super::form::settings(self)
        }

        fn check(&self) -> crate::error::Result<()> {
            crate::settings::Configured::check_settings(self)
        }
    };
}

/// The settings as data, without those at their defaults that the first files of runs did not have yet: a run that uses none of them is told as it was.
pub(super) fn settings(loss: &impl Configured) -> Value {
    let mut settings = loss.written();
    if let Value::Object(settings) = &mut settings {
        for (name, default) in
            [("reduction", json!("mean")), ("class_dim", json!(1)), ("weight", Value::Null)]
        {
            if settings.get(name) == Some(&default) {
                settings.remove(name);
            }
        }
    }
    settings
}

/// Refuses a reduction that is of other losses.
pub(super) fn check_reduction<L: Reduced>(loss: &L) -> Result<()> {
    let word = loss.reduction().word();
    let allowed = L::REDUCTIONS.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(" or ");
    require(L::NAME, "reduction", word, allowed, L::REDUCTIONS.contains(&word))
}

/// A batch's loss. A mean counts what it is over; sums count 1 each, as they add up.
pub(super) fn total(loss: &impl Reduced, outputs: &Outputs, batch: &Batch) -> Result<super::Loss, BoxError> {
    let to = match loss.reduction() {
        Reduction::Mean | Reduction::BatchMean => Torchs::Mean,
        Reduction::Sum => Torchs::Sum,
    };
    let (value, count) = loss.reduced(outputs, batch, to)?;
    Ok(super::Loss::new(value, if to == Torchs::Sum { 1.0 } else { count }))
}

/// Losses of elements, reduced, with their number.
pub(super) fn reduce(each: Tensor, to: Torchs) -> Result<(Tensor, f64), BoxError> {
    let count = each.numel() as f64;
    Ok((apply(each, to)?, count))
}

/// A tensor's mean or sum, or itself.
pub(super) fn apply(each: Tensor, to: Torchs) -> Result<Tensor> {
    Ok(match to {
        Torchs::Mean => each.f_mean(None)?,
        Torchs::Sum => each.f_sum(None)?,
        _ => each,
    })
}
