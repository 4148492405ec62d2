//! A snapshot's name: when it was taken.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// After what a snapshot was taken. In the order in which they happen at one train batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SafePoint {
    /// A train batch: `b`.
    Batch,
    /// An epoch: `e`.
    Epoch,
    /// A stage: `s`.
    Stage,
    /// The run: `z`.
    Run,
}

impl SafePoint {
    const LETTERS: [(Self, char); 4] =
        [(Self::Batch, 'b'), (Self::Epoch, 'e'), (Self::Stage, 's'), (Self::Run, 'z')];

    fn letter(self) -> char {
        Self::LETTERS[self as usize].1
    }
}

/// A snapshot's name: the run's train batch in 12 digits, and a letter for the safe point. Names sort in the order of events.
///
/// ```
/// use catena_record::{SafePoint, SnapshotName};
///
/// let name = SnapshotName { global_batch: 123, point: SafePoint::Batch };
/// assert_eq!(name.to_string(), "000000000123-b");
/// assert_eq!("000000000123-b".parse::<SnapshotName>()?, name);
/// assert!(name < SnapshotName { point: SafePoint::Epoch, ..name });
/// assert!("123-b".parse::<SnapshotName>().is_err());
/// # Ok::<(), catena_record::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SnapshotName {
    /// Train batches of the run.
    pub global_batch: u64,
    /// After what.
    pub point: SafePoint,
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:012}-{}", self.global_batch, self.point.letter()))
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl FromStr for SnapshotName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Name(text.to_owned());
        let (digits, letter) = text.split_once('-').ok_or_else(wrong)?;
        if digits.len() < 12 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let point =
            SafePoint::LETTERS.into_iter().find(|(_, own)| letter.chars().eq([*own])).ok_or_else(wrong)?.0;
        let name = Self { global_batch: digits.parse().map_err(|_| wrong())?, point };
        // one name a snapshot: no further zeros
        if name.to_string() == text { Ok(name) } else { Err(wrong()) }
    }
}
