//! What happens to a sample that can't be made.

/// What happens to a sample that can't be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run ends with the error.
    #[default]
    Fail,
    /// The batch has a sample less, and the log says so. More than `at_most` in an epoch are an error, and so is a batch without a sample.
    Skip {
        /// How many samples of an epoch may be left out.
        at_most: u64,
    },
}
