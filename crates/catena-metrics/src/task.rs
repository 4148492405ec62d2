//! What a classifier decides.

/// What a classifier decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Yes or no: scores (or labels 0 and 1) of the target's shape.
    Binary,
    /// One of so many classes: scores `[n, classes, …]` or labels `[n, …]`.
    Multiclass(i64),
    /// Each of so many labels, yes or no: scores (or 0 and 1) `[n, labels, …]`.
    Multilabel(i64),
}

impl Task {
    /// How many numbers a metric of each class has.
    pub(crate) fn classes(self) -> i64 {
        match self {
            Self::Binary => 1,
            Self::Multiclass(classes) | Self::Multilabel(classes) => classes,
        }
    }
}
