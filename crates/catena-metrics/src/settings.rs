//! A metric's settings by name: one table for each metric, by which they are both read and written.
use catena_record::float;
use catena_tensor::settings::{to_value, unknown_field};
use catena_tensor::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::metric::Metric;

/// A metric that data can name.
pub(crate) trait ByName: Metric {
    /// Hands every setting to the table, which reads or writes it (default: there is none). An error lists the settings in this order.
    fn each_setting(&mut self, _table: &mut Table) -> Result<()> {
        Ok(())
    }
}

/// The settings of a metric, as they are read from data or written to it, one after the other.
#[derive(Debug)]
pub(crate) struct Table {
    of: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
    writes: bool,
}

impl Table {
    /// Reads from these. A setting that they don't have stays as the metric has it.
    pub(crate) fn reading(of: &str, map: Map<String, Value>) -> Self {
        Self { of: of.into(), map, known: Vec::new(), writes: false }
    }

    /// Reads or writes this setting. For an `Option` null is none.
    pub(crate) fn setting<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &'static str,
        value: &mut T,
    ) -> Result<()> {
        if self.writes {
            self.put(name, to_value(value));
        } else if let Some(given) = self.take(name)? {
            *value = given;
        }
        Ok(())
    }

    /// As [`Table::setting`], where null is read as `null`.
    pub(crate) fn setting_or<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &'static str,
        value: &mut T,
        null: T,
    ) -> Result<()> {
        if self.writes {
            self.put(name, to_value(value));
        } else if let Some(given) = self.take::<Option<T>>(name)? {
            *value = given.unwrap_or(null);
        }
        Ok(())
    }

    /// Whether settings are written.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// Writes a value.
    pub(crate) fn put(&mut self, name: &str, value: Value) {
        self.map.insert(name.into(), value);
    }

    /// Reads a value, if it is given. For what is read by another name than it is written.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        let Some(value) = self.take_value(name) else { return Ok(None) };
        float::from_value(&value).map(Some).map_err(|error| self.wrong(format!("`{name}`: {error}")))
    }

    /// As [`Table::take`], whatever it is.
    pub(crate) fn take_value(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        if self.writes { None } else { self.map.remove(name) }
    }

    /// All has been read: what is left doesn't exist.
    pub(crate) fn done(self) -> Result<()> {
        let Some((name, _)) = self.map.into_iter().next() else { return Ok(()) };
        Err(unknown_field(&self.of, &name, &self.known))
    }

    pub(crate) fn wrong(&self, why: String) -> Error {
        Error::Settings { of: self.of.clone(), why }
    }
}

/// The settings of a metric as data, its name among them.
pub(crate) fn written(metric: &(impl ByName + Clone)) -> Value {
    let of = metric.name().to_owned();
    let map = Map::from_iter([("name".to_owned(), Value::from(of.as_str()))]);
    let mut table = Table { of, map, known: Vec::new(), writes: true };
    // only what is read can be wrong
    let _nothing_is_read = metric.clone().each_setting(&mut table);
    table.map.into()
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
