//! What loggers return.
use catena_tensor::BoxError;

/// What a logger returns: any error can be given with `?`, and a text with `Err("…".into())`.
pub type Result<T> = std::result::Result<T, BoxError>;
