//! What is made from data by its name: losses, optimizers, schedules.
use std::fmt;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::field::Field;
use super::setting::Configured;
use crate::error::{Error, Result};

/// The things of one kind that data can name, such as `{"name": "step", "step_size": 30}` among the schedules.
///
/// A name or field that is missing, unknown or of another kind than it must be is an error that says so, with what there is. Names are
/// in snake case; other spellings of them, which were written once, are aliases.
///
/// ```
/// use catena_tensor::settings::{self, Configured, Entry, Registry, Setting};
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
///
/// trait Shape {
///     fn area(&self) -> f64;
/// }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Square {
///     side: f64,
/// }
///
/// impl Shape for Square {
///     fn area(&self) -> f64 {
///         self.side * self.side
///     }
/// }
///
/// impl Configured for Square {
///     const NAME: &'static str = "square";
///     const SETTINGS: &'static [Setting<Self>] =
///         &[Setting::number("side", |square| &mut square.side, settings::Range::Above(0.0), "The length of a side")];
/// }
///
/// const fn entry<S: Shape + Configured>() -> Entry<dyn Shape> {
///     Entry::new::<S>(|settings| Ok(Box::new(settings::read::<S>(S::NAME, settings)?)))
/// }
///
/// const SHAPES: Registry<dyn Shape> =
///     Registry::new("shape", "square", &[entry::<Square>()]).aliases(&[("Square", "square")]);
///
/// assert_eq!(SHAPES.read(json!({"name": "Square", "side": 2}))?.area(), 4.0);
/// let error = SHAPES.read(json!({"name": "sqare"})).err().unwrap();
/// assert_eq!(error.to_string(), "shape: unknown name `sqare`, expected one of `square`");
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub struct Registry<T: ?Sized + 'static> {
    of: &'static str,
    example: &'static str,
    entries: &'static [Entry<T>],
    aliases: &'static [(&'static str, &'static str)],
}

/// One of them: its name, how it is read, and its fields.
pub struct Entry<T: ?Sized + 'static> {
    name: &'static str,
    read: fn(Value) -> Result<Box<T>>,
    fields: fn() -> Vec<Field>,
    example: &'static str,
}

impl<T: ?Sized> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("of", &self.of)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

impl<T: ?Sized> Entry<T> {
    /// A thing whose settings are a table. `read` gets them without the name.
    pub const fn new<C: Configured>(read: fn(Value) -> Result<Box<T>>) -> Self {
        Self { name: C::NAME, read, fields: Field::all_of::<C>, example: "{}" }
    }

    /// A thing that is read and described in a way of its own.
    pub const fn with(
        name: &'static str,
        read: fn(Value) -> Result<Box<T>>,
        fields: fn() -> Vec<Field>,
    ) -> Self {
        Self { name, read, fields, example: "{}" }
    }

    /// The settings that it can't do without, as JSON (default: it needs none).
    #[must_use]
    pub const fn example(mut self, settings: &'static str) -> Self {
        self.example = settings;
        self
    }

    /// Its name in data.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Reads its settings, which no longer have the name among them.
    pub fn read(&self, settings: Map<String, Value>) -> Result<Box<T>> {
        (self.read)(Value::Object(settings))
    }

    /// Its fields, without `name`.
    pub fn fields(&self) -> Vec<Field> {
        (self.fields)()
    }
}

impl<T: ?Sized> Registry<T> {
    /// These things; `of` is what they are in errors, such as `schedule`, and `example` a name that errors show.
    pub const fn new(of: &'static str, example: &'static str, entries: &'static [Entry<T>]) -> Self {
        Self { of, example, entries, aliases: &[] }
    }

    /// Other spellings of names, each with the name that it stands for. They are read, and never written.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<T> {
        let entries = self.entries;
        entries.iter().map(|entry| entry.name)
    }

    /// Every thing that can be named.
    pub fn entries(&self) -> &'static [Entry<T>] {
        self.entries
    }

    /// The name that a spelling stands for; another name stays as it is.
    pub fn name_of<'a>(&self, spelling: &'a str) -> &'a str {
        self.aliases.iter().find(|(alias, _)| *alias == spelling).map_or(spelling, |(_, name)| name)
    }

    /// The least with which a thing can be made, its name among it: an example. None for a name that is not known.
    pub fn example(&self, name: &str) -> Option<Value> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let mut settings: Value = serde_json::from_str(entry.example).ok()?;
        settings["name"] = name.into();
        Some(settings)
    }

    /// Which thing `{"name": …, settings}` is, and its settings without the name.
    pub fn find(&self, value: Value) -> Result<(&'static Entry<T>, Map<String, Value>)> {
        let wrong = |why: String| Error::Settings { of: self.of.into(), why };
        let known = || self.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let Value::Object(mut settings) = value else {
            let example = self.example;
            let text =
                format!("an object is needed, such as {{\"name\": \"{example}\"}}, but this is {value}");
            return Err(wrong(text));
        };
        let name = match settings.remove("name") {
            Some(Value::String(name)) => name,
            None => return Err(wrong(format!("missing field `name`, one of {}", known()))),
            Some(other) => return Err(wrong(format!("the name is {other}, expected one of {}", known()))),
        };
        match self.entries.iter().find(|entry| entry.name == self.name_of(&name)) {
            Some(entry) => Ok((entry, settings)),
            None => Err(wrong(format!("unknown name `{name}`, expected one of {}", known()))),
        }
    }

    /// Reads `{"name": …, settings}`. Whether values are in range is the thing's own to check.
    pub fn read(&self, value: Value) -> Result<Box<T>> {
        let (entry, settings) = self.find(value)?;
        entry.read(settings)
    }

    /// All of them as JSON Schema.
    ///
    /// ```
    /// let schema = catena_tensor::loss::registry().schema();
    /// let losses = schema["oneOf"].as_array().ok_or("a list")?;
    /// let named = |name: &str| losses.iter().find(|loss| loss["properties"]["name"]["const"] == name);
    /// let cross_entropy = named("cross_entropy").ok_or("it is registered")?;
    /// assert_eq!(cross_entropy["properties"]["label_smoothing"]["maximum"], 1.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    pub fn schema(&self) -> Value {
        let one = |entry: &Entry<T>| {
            let fields = entry.fields();
            let required =
                fields.iter().filter(|field| field.default.is_none()).map(|field| field.name.as_ref());
            let required: Vec<&str> = std::iter::once("name").chain(required).collect();
            let mut properties: Map<String, Value> =
                fields.iter().map(|field| (field.name.to_string(), field.schema())).collect();
            properties.insert("name".into(), json!({ "const": entry.name }));
            json!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            })
        };
        json!({"title": self.of, "oneOf": self.entries.iter().map(one).collect::<Vec<_>>()})
    }
}

/// Writes a thing as its registry reads it: its name, and its settings.
///
/// # Errors
///
/// If it has no settings as data, because it lives in code only.
pub fn write_named<S: Serializer>(
    kind: &str,
    name: &str,
    settings: Value,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    let Value::Object(mut settings) = settings else {
        return Err(S::Error::custom(format!("{kind} `{name}` lives in code only, so it can't be written")));
    };
    settings.entry("name").or_insert_with(|| name.into());
    settings.serialize(to)
}
