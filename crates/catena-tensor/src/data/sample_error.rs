//! What a loader says of a sample that it can't give.
use crate::error::BoxError;

/// A sample that a loader can't give. A callback finds it by downcasting the source of the run's error.
///
/// ```
/// use catena_tensor::data::SampleError;
///
/// let error = SampleError { sample: 7, origin: Some("cats/7.png".into()), what: "no image".into(), source: None };
/// assert_eq!(error.to_string(), "sample 7 (cats/7.png): no image");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("sample {sample}{}: {what}", in_brackets(origin))]
pub struct SampleError {
    /// The sample's number in its data set.
    pub sample: u64,
    /// Where it comes from: a file's path, a line of a file.
    pub origin: Option<String>,
    /// What is wrong, and what to do.
    pub what: String,
    /// The data set's own error, if it was one.
    #[source]
    pub source: Option<BoxError>,
}

fn in_brackets(origin: &Option<String>) -> String {
    origin.as_ref().map_or(String::new(), |origin| format!(" ({origin})"))
}
