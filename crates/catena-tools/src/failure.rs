//! Why a command can't do what was asked.
use std::io;
use std::path::{Path, PathBuf};

/// A result of a command or of a part of it.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It was asked for what isn't there, or can't be.
    #[error("{0}")]
    Usage(String),
    /// A file that is no snapshot's is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A snapshot can't be read or written.
    #[error(transparent)]
    Record(#[from] catena_record::Error),
    /// The operating system said no.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

impl Failure {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// The exit status: 1 for damage, else 2.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Damaged(_) | Self::Record(catena_record::Error::Damaged { .. }) => 1,
            Self::Usage(_) | Self::Record(_) | Self::Io { .. } => 2,
        }
    }
}
