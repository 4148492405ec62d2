//! Where a loader is that no number of batches tells.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a loader is after the batch that it gave last, as far as the number of that batch does not say so: whole numbers and short texts by name, of at
/// most [`Position::LIMIT`] bytes. A snapshot has it, and [`Start::position`](super::Start::position) gives it back.
///
/// It tells what was given out, never what was read ahead.
///
/// ```
/// use catena_tensor::data::Position;
///
/// let position = Position::new().with("shard", "part-07.tar")?.with("row", 4096)?;
/// assert_eq!((position.text("shard")?, position.number("row")?), ("part-07.tar", 4096));
/// assert_eq!(
///     position.number("rwo").unwrap_err().to_string(),
///     "the loader breaks a promise: the position has no whole number `rwo`; it has: row, shard",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Position(BTreeMap<String, PositionValue>);

/// A value of a [`Position`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PositionValue {
    /// A whole number of at least 0.
    Number(u64),
    /// A short text.
    Text(String),
}

impl From<u64> for PositionValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for PositionValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for PositionValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Position {
    /// How many bytes all names and values have at most; a number counts 8.
    pub const LIMIT: usize = 1024;

    /// Without a value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, in place of one of this name. An error if there is no room for it.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<PositionValue>) -> Result<Self> {
        self.0.insert(name.into(), value.into());
        self.check()?;
        Ok(self)
    }

    /// The number of this name.
    pub fn number(&self, name: &str) -> Result<u64> {
        match self.0.get(name) {
            Some(PositionValue::Number(number)) => Ok(*number),
            _ => Err(self.lacks("whole number", name)),
        }
    }

    /// The text of this name.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.0.get(name) {
            Some(PositionValue::Text(text)) => Ok(text),
            _ => Err(self.lacks("text", name)),
        }
    }

    fn lacks(&self, what: &str, name: &str) -> Error {
        let known: Vec<_> = self.0.keys().map(String::as_str).collect();
        Error::Loader(format!("the position has no {what} `{name}`; it has: {}", known.join(", ")))
    }

    fn check(&self) -> Result<()> {
        let size = |(name, value): (&String, &PositionValue)| {
            name.len()
                + match value {
                    PositionValue::Number(_) => 8,
                    PositionValue::Text(text) => text.len(),
                }
        };
        match self.0.iter().map(size).sum::<usize>() {
            ..=Self::LIMIT => Ok(()),
            bytes => Err(Error::Loader(format!(
                "its position has {bytes} bytes, and every snapshot has it, so that it may have {} at most: keep offsets and numbers in it, no data",
                Self::LIMIT
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let position = Self(BTreeMap::deserialize(from)?);
        position.check().map_err(serde::de::Error::custom)?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_from_json_as_it_was_and_has_no_room_for_data() {
        let position = Position::new().with("row", u64::MAX).unwrap().with("shard", "7").unwrap();
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(json, r#"{"row":18446744073709551615,"shard":"7"}"#);
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        assert!(serde_json::from_str::<Position>(r#"{"row":-1}"#).is_err());
        assert!(Position::new().with("a", "x".repeat(1023)).is_ok());
        let text = Position::new().with("a", "x".repeat(1024)).unwrap_err().to_string();
        assert!(text.contains("has 1025 bytes"), "{text}");
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1024));
        assert!(serde_json::from_str::<Position>(&long).unwrap_err().to_string().contains("has 1025 bytes"));
    }
}
