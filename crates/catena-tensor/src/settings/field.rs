//! The fields of a thing in data, as its table of settings tells them.
use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::range::{Range, noted};
use super::setting::{Configured, Kind, Setting};
use super::value;

/// A field of a thing in data: what may stand there, what stands there where it is left out, and what it does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Field {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: FieldKind,
    /// Where it is left out; none if it must be given.
    pub default: Option<Value>,
    /// What it does, in a line.
    pub doc: String,
}

/// What stands in a [`Field`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldKind {
    /// A number.
    Number(Range),
    /// A list of as many numbers as there are ranges.
    Tuple(Vec<Range>),
    /// A list of numbers.
    Numbers(Range),
    /// A whole number.
    Whole(Range),
    /// True or false.
    Switch,
    /// A text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// What these words say.
    Other(&'static str),
}

impl Field {
    /// The fields of a `C`, by its table. Defaults are those that its `serde` type has.
    ///
    /// ```
    /// use catena_tensor::optim::Sgd;
    /// use catena_tensor::settings::{Field, FieldKind, Range};
    ///
    /// let fields = Field::all_of::<Sgd>();
    /// assert_eq!((fields[0].name.as_ref(), &fields[0].default), ("lr", &Some(1e-3.into())));
    /// assert_eq!(fields[0].kind, FieldKind::Number(Range::AtLeast(0.0)));
    /// ```
    pub fn all_of<C: Configured>() -> Vec<Self> {
        let (defaults, required) = defaults::<C>();
        let mut fields: Vec<Self> = Vec::new();
        for setting in C::SETTINGS {
            let name = setting.place.split('[').next().unwrap_or(setting.place);
            match (fields.last_mut(), &setting.kind) {
                // another entry of the same list
                (
                    Some(Self { name: known, kind: FieldKind::Tuple(ranges), doc, .. }),
                    Kind::Number(_, range) | Kind::Optional(_, range),
                ) if *known == name => {
                    ranges.push(*range);
                    *doc = format!("{doc}; {}", setting.doc);
                }
                _ => fields.push(Self {
                    name: name.into(),
                    kind: kind_of(setting),
                    default: (!required.contains(&name))
                        .then(|| defaults.get(name).cloned().unwrap_or_default()),
                    doc: setting.doc.to_owned(),
                }),
            }
        }
        fields
    }

    /// The fields of a thing that has no table: what it writes of itself, where `given` stands for what it can't do without. Their kinds are those of the values,
    /// in the ranges that `check` asks for by [`Range::setting`] or [`Range::check`].
    pub fn written_by(thing: &impl Serialize, given: &Map<String, Value>, check: impl FnOnce()) -> Vec<Self> {
        let ranges: HashMap<String, Range> = noted(check).into_iter().collect();
        let Value::Object(written) = value::to_value(thing) else { return Vec::new() };
        let field = |(name, value): (String, Value)| Self {
            kind: match (&value, ranges.get(&name).copied()) {
                (Value::Number(_) | Value::Null, Some(range @ Range::Count(_))) => FieldKind::Whole(range),
                (Value::Number(_) | Value::Null, Some(range)) => FieldKind::Number(range),
                (Value::Number(number), None) if number.is_u64() => FieldKind::Whole(Range::Count(0)),
                (Value::Number(_), None) => FieldKind::Number(Range::Finite),
                (Value::Bool(_), _) => FieldKind::Switch,
                (Value::String(_), _) => FieldKind::Text,
                (Value::Null | Value::Array(_) | Value::Object(_), _) => {
                    FieldKind::Other("see the documentation")
                }
            },
            default: (!given.contains_key(&name)).then_some(value),
            name: name.into(),
            doc: String::new(),
        };
        written.into_iter().map(field).collect()
    }

    /// Says what the fields of the thing of this name do, by a table with a line for each: `thing<tab>field<tab>what it does`.
    pub fn say(fields: &mut [Self], thing: &str, table: &str) {
        for line in table.lines() {
            let mut words = line.splitn(3, '\t');
            let (of, name, doc) = (words.next(), words.next(), words.next().unwrap_or_default());
            if let Some(field) =
                fields.iter_mut().find(|field| of == Some(thing) && name == Some(&*field.name))
            {
                field.doc = doc.to_owned();
            }
        }
    }

    /// It as JSON Schema.
    pub fn schema(&self) -> Value {
        let is_null = |value: &Value| value.is_null();
        let mut schema = match &self.kind {
            FieldKind::Number(range) => number("number", *range),
            FieldKind::Whole(range) => number("integer", *range),
            FieldKind::Numbers(range) => json!({"type": "array", "items": number("number", *range)}),
            FieldKind::Tuple(ranges) => {
                let nullable = |i: usize| self.default.as_ref().is_some_and(|all| all[i].is_null());
                let items = ranges.iter().enumerate().map(|(i, range)| {
                    let item = number("number", *range);
                    if nullable(i) { or_null(item) } else { item }
                });
                let items: Vec<Value> = items.collect();
                json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()})
            }
            FieldKind::Switch => json!({"type": "boolean"}),
            FieldKind::Text => json!({"type": "string"}),
            FieldKind::OneOf(words) => json!({"enum": words}),
            FieldKind::Other(what) => json!({"$comment": what}),
        };
        if self.default.as_ref().is_some_and(is_null) && !matches!(self.kind, FieldKind::Other(_)) {
            schema = or_null(schema);
        }
        if let Some(default) = &self.default {
            schema["default"] = default.clone();
        }
        schema["description"] = self.doc.clone().into();
        schema
    }
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn number(kind: &str, range: Range) -> Value {
    let mut schema = json!({ "type": kind });
    let mut set = |name: &str, bound: Value| schema[name] = bound;
    match range {
        Range::Finite => {}
        Range::AtLeast(low) => set("minimum", low.into()),
        Range::Above(low) | Range::AboveOrInfinite(low) => set("exclusiveMinimum", low.into()),
        Range::AtMost(high) => set("maximum", high.into()),
        Range::Closed(low, high) => {
            set("minimum", low.into());
            set("maximum", high.into());
        }
        Range::ClosedOpen(low, high) => {
            set("minimum", low.into());
            set("exclusiveMaximum", high.into());
        }
        Range::OpenClosed(low, high) => {
            set("exclusiveMinimum", low.into());
            set("maximum", high.into());
        }
        Range::Open(low, high) => {
            set("exclusiveMinimum", low.into());
            set("exclusiveMaximum", high.into());
        }
        Range::Count(least) => set("minimum", least.into()),
        Range::CountBelow(end) => {
            set("minimum", 0.into());
            set("exclusiveMaximum", end.into());
        }
    }
    schema
}

fn kind_of<T>(setting: &Setting<T>) -> FieldKind {
    match setting.kind {
        Kind::Number(_, range) | Kind::Optional(_, range) if setting.place.contains('[') => {
            FieldKind::Tuple(vec![range])
        }
        Kind::Number(_, range) | Kind::Optional(_, range) => FieldKind::Number(range),
        Kind::Pair(_, _, ranges) => FieldKind::Tuple(ranges.into()),
        Kind::Numbers(_, range) => FieldKind::Numbers(range),
        Kind::Whole(_, range) => FieldKind::Whole(range),
        Kind::Switch => FieldKind::Switch,
        Kind::Text => FieldKind::Text,
        Kind::OneOf(words) => FieldKind::OneOf(words),
        Kind::Other(what, _) => FieldKind::Other(what),
    }
}

/// What is written of a `C` that was read from nothing but what it requires, and what that is: `serde` knows both.
fn defaults<C: Configured>() -> (Map<String, Value>, Vec<&'static str>) {
    let (mut given, mut required) = (Map::new(), Vec::new());
    loop {
        let why = match value::read::<C>(C::NAME, Value::Object(given.clone())) {
            Ok(made) => {
                let written = value::to_value(&made);
                return (written.as_object().cloned().unwrap_or_default(), required);
            }
            Err(error) => error.to_string(),
        };
        let is_missing = |setting: &&Setting<C>| {
            why.ends_with(&format!("missing field `{}`", setting.place)) && !given.contains_key(setting.place)
        };
        let Some(missing) = C::SETTINGS.iter().find(is_missing) else {
            return (Map::new(), required);
        };
        let example = match missing.kind {
            Kind::Number(..) | Kind::Whole(..) => json!(1),
            Kind::Pair(..) => json!([0.5, 0.5]),
            Kind::Numbers(..) => json!([]),
            Kind::Optional(..) => Value::Null,
            Kind::Switch => json!(false),
            Kind::Text => json!(""),
            Kind::OneOf(words) => json!(words.first()),
            Kind::Other(_, example) => serde_json::from_str(example).unwrap_or_default(),
        };
        given.insert(missing.place.to_owned(), example);
        required.push(missing.place);
    }
}
