//! Reading a metric's settings by name; what is left over is an error that lists the names that exist.
use catena_record::float;
use catena_tensor::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Settings that are taken out one by one.
#[derive(Debug)]
pub(crate) struct Settings {
    of: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Settings {
    pub(crate) fn new(of: &str, map: Map<String, Value>) -> Self {
        Self { of: of.into(), map, known: Vec::new() }
    }

    pub(crate) fn of(&self) -> &str {
        &self.of
    }

    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// The setting, if it is given. An `Option` as type takes null as none.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        self.known.push(name);
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        float::from_value(&value).map(Some).map_err(|error| self.wrong(format!("`{name}`: {error}")))
    }

    /// All has been taken: what is left doesn't exist.
    pub(crate) fn done(self) -> Result<()> {
        let Some((name, _)) = self.map.into_iter().next() else { return Ok(()) };
        let known = self.known.into_iter().map(str::to_owned).collect();
        Err(Error::UnknownSetting { of: self.of, name, known })
    }

    pub(crate) fn wrong(&self, why: String) -> Error {
        Error::Settings { of: self.of.clone(), why }
    }
}

/// An error for a setting out of range, unless it is allowed.
pub(crate) fn require(
    is_allowed: bool,
    of: &str,
    name: &str,
    got: impl ToString,
    allowed: &str,
) -> Result<()> {
    if is_allowed {
        return Ok(());
    }
    Err(Error::Setting { of: of.into(), name: name.into(), got: got.to_string(), allowed: allowed.into() })
}
