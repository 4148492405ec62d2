//! What a curve is of.

/// What a curve is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) topic: Topic,
    /// The chart that it belongs to: the metric's name.
    pub(crate) chart: String,
    /// What tells it from the others of its chart, such as the loader.
    pub(crate) of: String,
    /// A point a batch or a step, not an epoch.
    pub(crate) is_fine: bool,
}

/// The part of the page where a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Metric,
    Optimization,
    Speed,
    Checkpoint,
}

/// What a loader is called: what is logged outside of loaders has a name that is no loader's.
pub(crate) fn of_loader(loader: &str) -> &str {
    if loader.is_empty() { "(run)" } else { loader }
}
