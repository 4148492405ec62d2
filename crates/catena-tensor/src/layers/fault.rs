//! What goes wrong in a layer, before the layer's name stands with it.
use tch::{Kind, TchError, Tensor};

use crate::error::Error;

/// A reason in words, or the error of a layer within.
#[derive(Debug)]
pub(super) enum Fault {
    Why(String),
    Within(Error),
}

pub(super) type Outcome<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(super) fn at(self, layer: &str, kind: &str) -> Error {
        match self {
            Self::Within(error) => error,
            Self::Why(why) => Error::Layer { layer: layer.to_owned(), kind: kind.to_owned(), why },
        }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Layer { .. } => Self::Within(error),
            other => Self::Why(other.to_string()),
        }
    }
}

impl From<TchError> for Fault {
    fn from(error: TchError) -> Self {
        Self::Why(Error::from(error).to_string())
    }
}

/// An error that says what a setting must be, unless it is.
pub(super) fn setting(
    holds: bool,
    name: &str,
    got: impl std::fmt::Debug,
    allowed: impl std::fmt::Display,
) -> Outcome<()> {
    match holds {
        true => Ok(()),
        false => Err(format!("`{name}` is {got:?}, but must be {allowed}").into()),
    }
}

/// A size, a stride or a number of channels.
pub(super) fn at_least_1(name: &str, got: i64) -> Outcome<()> {
    setting(got >= 1, name, got, "at least 1")
}

/// As [`at_least_1`], for each of several.
pub(super) fn each_at_least_1(name: &str, got: &[i64]) -> Outcome<()> {
    setting(got.iter().all(|&got| got >= 1), name, got, "at least 1 everywhere")
}

/// Shapes are judged before libtorch sees them, so that the error can say what to change.
pub(super) fn shape(fits: bool, input: &Tensor, expected: impl FnOnce() -> String) -> Outcome<()> {
    match fits {
        true => Ok(()),
        false => Err(format!("the input has shape {:?}, but {}", input.size(), expected()).into()),
    }
}

/// Images as bytes and labels reach a layer of floats more often than anything else that is wrong.
pub(super) fn floats(input: &Tensor) -> Outcome<()> {
    let kind = input.f_kind()?;
    match kind {
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 | Kind::Bool => Err(format!(
            "the input is of dtype {kind:?}, but must be floating point; convert it before, such as with `to_kind(Kind::Float)`"
        )
        .into()),
        _ => Ok(()),
    }
}
