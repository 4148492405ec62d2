//! What a convolution does at an input's edges.
use serde::{Deserialize, Serialize};

/// How much an input grows at its edges before a convolution: `1` or `[1, 2]`, or a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// As much as keeps the input's size; not with a stride.
    Same,
    /// Not at all.
    Valid,
    /// This much at each edge of a dimension: one number for all dimensions, or one for each.
    #[serde(untagged)]
    Of(Vec<i64>),
}

/// What stands in the padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input, mirrored at its edge.
    Reflect,
    /// The number at the edge.
    Replicate,
    /// The input from its other end.
    Circular,
}

impl Default for Padding {
    fn default() -> Self {
        Self::Of(vec![0])
    }
}

impl From<i64> for Padding {
    fn from(all: i64) -> Self {
        Self::Of(vec![all])
    }
}

impl From<[i64; 2]> for Padding {
    fn from(each: [i64; 2]) -> Self {
        Self::Of(each.to_vec())
    }
}
