//! What libtorch threw, as a value.
use std::ffi::{CStr, c_int};

use crate::ffi;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An exception that libtorch threw. The text ends before libtorch's stack frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Wrong arguments, or anything that has no kind of its own.
    #[error("{0}")]
    Torch(String),
    /// The device has no memory left.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// This build of libtorch can't do it (no such kernel for this device or dtype).
    #[error("not implemented: {0}")]
    NotImplemented(String),
    /// The argument breaks a rule of this crate's own.
    #[error("{0}")]
    Argument(String),
}

/// Turns the shim's return code into a result.
pub(crate) fn check(code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string that lives until this thread's next failing call.
    let text = unsafe { CStr::from_ptr(ffi::catena_last_error()) };
    let text = text.to_string_lossy().trim_end().to_owned();
    Err(match code {
        4 => Error::OutOfMemory(text),
        5 => Error::NotImplemented(text),
        _ => Error::Torch(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_exception_becomes_an_error_and_the_process_lives() {
        let kinds = [
            (0, Error::Torch("a libtorch error".into())),
            (1, Error::Torch("a standard error".into())),
            (2, Error::Torch("a C++ exception of unknown type".into())),
            (3, Error::OutOfMemory("out of memory".into())),
            (4, Error::NotImplemented("not implemented".into())),
        ];
        for (kind, expected) in kinds {
            // SAFETY: takes any number and throws inside the guard.
            let code = unsafe { ffi::catena_throw(kind) };
            assert_eq!(check(code), Err(expected));
        }
    }
}
