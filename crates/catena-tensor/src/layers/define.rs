//! What a layer is made from, and what it is once it is made.
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::fault::Outcome;
use super::fused::Part;
use super::variables::Variables;
use super::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Flatten,
    Gelu, GroupNorm, InstanceNorm1d, InstanceNorm2d, LayerNorm, Layers, Linear, MaxPool2d,
    MultiheadAttention, Relu, Residual, Sequential, Sigmoid, Softmax, Tanh,
};

/// What a definition can do.
pub(super) trait Define {
    /// Whether its settings can be: torch's checks, before anything is made.
    fn check(&self) -> Outcome<()>;

    /// Makes the variables, and the layer.
    fn make(&self, variables: &mut Variables<'_>) -> Outcome<Box<dyn Compute>>;
}

/// What a layer can do.
pub(super) trait Compute: Debug + Send {
    fn compute(&self, input: &Tensor, train: bool) -> Outcome<Tensor>;

    /// What it is within a run of layers that is computed as one; none for a layer that can't be.
    fn part(&self) -> Option<Part<'_>> {
        None
    }

    /// The layers that it is made of.
    fn inner(&self) -> Option<&Layers> {
        None
    }
}

macro_rules! definitions {
    ($($name:ident $kind:literal)*) => {
        /// Any typed layer as data, before it is made: what [`Sequential`] holds and [`Layer::definition`](super::Layer::definition) shows.
        ///
        /// As JSON it is torch's class in snake case and torch's arguments; optional ones may be left out when it is read.
        ///
        /// ```
        /// use catena_tensor::layers::{Definition, Linear};
        /// use catena_tensor::settings;
        /// use serde_json::json;
        ///
        /// let definition = Definition::from(Linear::new(4, 2));
        /// assert_eq!(definition.kind(), "Linear");
        /// let written = json!({"name": "linear", "in_features": 4, "out_features": 2, "bias": true});
        /// assert_eq!(settings::to_value(&definition), written);
        ///
        /// let shorter = json!({"name": "linear", "in_features": 4, "out_features": 2});
        /// assert_eq!(settings::read::<Definition>("layer", shorter)?, definition);
        /// # Ok::<(), catena_tensor::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Definition {
            $(
                #[doc = concat!("[`", stringify!($name), "`].")]
                $name($name),
            )*
        }

        impl Definition {
            /// torch's class, such as `Conv2d`.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }

            pub(super) fn define(&self) -> &dyn Define {
                match self {
                    $(Self::$name(definition) => definition,)*
                }
            }
        }

        $(
            impl From<$name> for Definition {
                fn from(definition: $name) -> Self {
                    Self::$name(definition)
                }
            }
        )*
    };
}

definitions! {
    Linear "Linear"
    Conv1d "Conv1d"
    Conv2d "Conv2d"
    BatchNorm1d "BatchNorm1d"
    BatchNorm2d "BatchNorm2d"
    InstanceNorm1d "InstanceNorm1d"
    InstanceNorm2d "InstanceNorm2d"
    LayerNorm "LayerNorm"
    GroupNorm "GroupNorm"
    Embedding "Embedding"
    Dropout "Dropout"
    Relu "ReLU"
    Gelu "GELU"
    Tanh "Tanh"
    Sigmoid "Sigmoid"
    Softmax "Softmax"
    MaxPool2d "MaxPool2d"
    AvgPool2d "AvgPool2d"
    AdaptiveAvgPool2d "AdaptiveAvgPool2d"
    Flatten "Flatten"
    MultiheadAttention "MultiheadAttention"
    Residual "Residual"
    Sequential "Sequential"
}

/// Defaults that are read where a setting is left out.
pub(super) mod default {
    pub(crate) fn yes() -> bool {
        true
    }

    pub(crate) fn one() -> i64 {
        1
    }

    pub(crate) fn ones() -> [i64; 2] {
        [1, 1]
    }

    pub(crate) fn eps() -> f64 {
        1e-5
    }

    pub(crate) fn momentum() -> Option<f64> {
        Some(0.1)
    }
}
