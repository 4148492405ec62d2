//! What can go wrong with a run on disk.
use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong. Damage is told from errors of reading and writing: what is damaged is set aside, what can't be read is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system said no.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `can't read`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// A snapshot that is not what was written.
    #[error("{} is damaged: {damage}", path.display())]
    Damaged {
        /// The snapshot.
        path: PathBuf,
        /// How.
        damage: Damage,
    },
    /// A snapshot that another version of catena wrote.
    #[error("{} has format version {found}, but this version of catena reads {known}", path.display())]
    Format {
        /// The snapshot.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        known: u64,
    },
    /// The run directory is in use.
    #[error("{} is in use by another process; a run directory has one run at a time", path.display())]
    Locked {
        /// The run directory.
        path: PathBuf,
    },
    /// A name that is no snapshot's.
    #[error("`{0}` is not the name of a snapshot; one is like 000000000123-b: 12 digits and b, e, s or z")]
    Name(String),
    /// Something that can't be written as it is.
    #[error("{0}")]
    Unwritable(String),
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// How a snapshot is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A file that the manifest lists is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A file that the manifest doesn't list.
    #[error("{0} does not belong to it")]
    Unlisted(String),
    /// Something else than a plain file.
    #[error("{0} is not a plain file")]
    NotAFile(String),
    /// A file in place of a folder.
    #[error("it is a file, not a folder")]
    NotAFolder,
    /// A file of another size.
    #[error("{file} has {found} bytes, not {expected}")]
    Size {
        /// The file.
        file: String,
        /// The size that the manifest names.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// A file of another content.
    #[error("the SHA-256 of {0} is not the one that was written")]
    Hash(String),
    /// A manifest that can't be read.
    #[error("manifest.json: {0}")]
    Manifest(String),
    /// A tensor file or a state that can't be read.
    #[error("{file}: {why}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
}
