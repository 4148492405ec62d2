//! How far a log went, and what it had there: what a run that goes on needs of it.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::narrowed::narrowed;
use crate::hash::hex;

/// Logs by their paths in the run directory, such as `metrics/train.csv`.
pub type Marks = BTreeMap<String, Mark>;

/// How far a log went, and what stood there. A log is known by its content: one that is longer but was edited is another one.
///
/// ```
/// use catena_record::logs::{Mark, Unlike};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("journal.jsonl");
/// std::fs::write(&path, "one\ntwo\n")?;
/// let mark = Mark::of(&path, 4)?;
/// assert!(mark.check(&path).is_ok());
/// std::fs::write(&path, "One\ntwo\n")?;
/// assert!(matches!(mark.check(&path), Err(Unlike::Edited { bytes: 4 })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// How many bytes it had.
    pub bytes: u64,
    /// The SHA-256 of the last of them, up to 4,096, in hexadecimal.
    pub tail: String,
    /// How many columns a table had: one that gains some is written anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// How many bytes before this could not be written, as to a full disk: who goes on from here lacks them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What a log is like that is not as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unlike {
    /// There is no file of this name.
    #[error("is gone")]
    Gone,
    /// It has fewer bytes.
    #[error("has {found} bytes, but had {expected}")]
    Shorter {
        /// How many it has.
        found: u64,
        /// How many it had.
        expected: u64,
    },
    /// It has other bytes before the mark.
    #[error("was changed: the rows before its byte {bytes} are not those that were written")]
    Edited {
        /// Where the mark is.
        bytes: u64,
    },
    /// It can't be read.
    #[error("can't be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// How many bytes before a mark are compared.
const TAIL: u64 = 4096;

impl Mark {
    /// Of a file's first `bytes` bytes.
    pub fn of(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        Ok(Self { bytes, tail: tail(&mut file, bytes)?, columns: None, lost: 0 })
    }

    /// Whether a file begins with what it had at this mark. Only its last bytes before the mark are read; of a table that has gained columns
    /// since, all of it.
    pub fn check(&self, path: &Path) -> Result<(), Unlike> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unlike::Gone),
            file => file?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(Unlike::Gone);
        }
        let found = meta.len();
        if found >= self.bytes && tail(&mut file, self.bytes)? == self.tail {
            return Ok(());
        }
        if let Some(columns) = self.columns
            && let Some(text) = narrowed(path, columns)?
            && self.is_start_of(&text)
        {
            return Ok(());
        }
        match found < self.bytes {
            true => Err(Unlike::Shorter { found, expected: self.bytes }),
            false => Err(Unlike::Edited { bytes: self.bytes }),
        }
    }

    /// Whether a file's content begins with what it had at this mark.
    pub(super) fn is_start_of(&self, content: &[u8]) -> bool {
        let mut content = io::Cursor::new(content);
        content.get_ref().len() as u64 >= self.bytes
            && tail(&mut content, self.bytes).is_ok_and(|tail| tail == self.tail)
    }
}

/// The hash of the last bytes before this place.
fn tail(content: &mut (impl Read + Seek), bytes: u64) -> io::Result<String> {
    let n = bytes.min(TAIL);
    content.seek(SeekFrom::Start(bytes - n))?;
    let mut last = Vec::new();
    content.take(n).read_to_end(&mut last)?;
    Ok(hex(&Sha256::digest(&last)))
}
