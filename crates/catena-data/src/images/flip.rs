//! Mirror images.
use serde_json::json;

use super::draw::happens;
use super::frame::Frame;
use super::transform::{Transform, probability, settings};
use crate::draws::Draws;
use crate::{Result, Settings};

macro_rules! flips {
    ($($(#[$doc:meta])* $name:ident, $flip:ident;)+) => {
        $($(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            p: f64,
        }

        impl $name {
            /// With probability 0.5.
            pub const fn new() -> Self {
                Self { p: 0.5 }
            }

            /// With this probability.
            #[must_use]
            pub const fn p(self, p: f64) -> Self {
                Self { p }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl Transform for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn settings(&self) -> Settings {
                settings(json!({ "p": self.p }))
            }

            fn check(&self) -> Result<()> {
                probability(self.p)
            }

            fn apply(&self, frame: &mut Frame, draws: &mut Draws) -> Result<()> {
                if happens(&mut draws.of(self.name()), self.p) {
                    frame.$flip();
                }
                Ok(())
            }
        })+
    };
}
flips! {
    /// Left becomes right, or not: torchvision's `RandomHorizontalFlip`.
    RandomHorizontalFlip, flip_horizontally;
    /// Top becomes bottom, or not: torchvision's `RandomVerticalFlip`.
    RandomVerticalFlip, flip_vertically;
}
