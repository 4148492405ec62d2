//! A table of settings, from which their checks, their names and their fields in data follow.
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::range::{Range, require};
use super::value::to_value;
use crate::error::Result;

/// A type that is read from data by its name, with a table of its settings.
///
/// ```
/// use catena_tensor::settings::{Configured, Range, Setting};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Blur {
///     sigma: f64,
///     wrap: bool,
/// }
///
/// impl Configured for Blur {
///     const NAME: &'static str = "blur";
///     const SETTINGS: &'static [Setting<Self>] = &[
///         Setting::number("sigma", |blur| &mut blur.sigma, Range::AtLeast(0.0), "The width, in pixels"),
///         Setting::switch("wrap", "Whether the picture goes on at its other side"),
///     ];
/// }
///
/// let error = Blur { sigma: -1.0, wrap: false }.check_settings().unwrap_err();
/// assert_eq!(error.to_string(), "blur: `sigma` is -1, but must be a number of at least 0");
/// ```
pub trait Configured: Clone + Serialize + DeserializeOwned + 'static {
    /// The name in data, in snake case.
    const NAME: &'static str;

    /// Every setting, in the order in which they are checked and told.
    const SETTINGS: &'static [Setting<Self>];

    /// What has to hold between settings; ranges of single ones are in the table.
    fn check_together(&self) -> Result<()> {
        Ok(())
    }

    /// Whether every setting is in its range, and [`Configured::check_together`] holds.
    fn check_settings(&self) -> Result<()> {
        let mut read = self.clone();
        Self::SETTINGS.iter().try_for_each(|setting| setting.check(Self::NAME, &mut read))?;
        self.check_together()
    }

    /// The settings with the `name`, as a registry reads them; null where a part of them lives in code only.
    fn written(&self) -> Value {
        let mut value = to_value(self);
        if let Value::Object(settings) = &mut value {
            settings.insert("name".into(), Self::NAME.into());
        }
        value
    }

    /// The number that has this name, if others may change it: a [`Setting::number`], or one of a [`Setting::pair`].
    fn number_mut(&mut self, name: &str) -> Option<&mut f64> {
        for setting in Self::SETTINGS {
            match setting.kind {
                Kind::Number(at, _) if setting.name == name => return Some(at(self)),
                Kind::Pair(names, at, _) if names.contains(&name) => {
                    let (first, second) = at(self);
                    return Some(if names[0] == name { first } else { second });
                }
                _ => {}
            }
        }
        None
    }
}

/// A setting of `T`: its name in data, what it is and where, its range, and what it does in a line.
#[derive(Debug)]
pub struct Setting<T> {
    pub(super) name: &'static str,
    /// Where it is in data: its name, unless it is an entry of a list (`eps[1]`).
    pub(super) place: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) doc: &'static str,
}

/// What a setting is, and where it is in a `T`.
#[derive(Debug)]
pub(super) enum Kind<T> {
    Number(fn(&mut T) -> &mut f64, Range),
    Pair([&'static str; 2], fn(&mut T) -> &mut (f64, f64), [Range; 2]),
    Numbers(fn(&T) -> Vec<f64>, Range),
    Optional(fn(&T) -> Option<f64>, Range),
    Whole(fn(&T) -> Option<u64>, Range),
    Switch,
    Text,
    OneOf(&'static [&'static str]),
    Other(&'static str, &'static str),
}

impl<T> Setting<T> {
    /// A number, which others may change by its name.
    pub const fn number(
        name: &'static str,
        at: fn(&mut T) -> &mut f64,
        range: Range,
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Number(at, range), doc }
    }

    /// Two numbers, a list of two in data; others may change each by a name of its own (`betas`: `beta1`, `beta2`).
    pub const fn pair(
        name: &'static str,
        names: [&'static str; 2],
        at: fn(&mut T) -> &mut (f64, f64),
        ranges: [Range; 2],
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Pair(names, at, ranges), doc }
    }

    /// A list of numbers.
    pub const fn numbers(
        name: &'static str,
        get: fn(&T) -> Vec<f64>,
        range: Range,
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Numbers(get, range), doc }
    }

    /// A number, or null.
    pub const fn optional(
        name: &'static str,
        get: fn(&T) -> Option<f64>,
        range: Range,
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Optional(get, range), doc }
    }

    /// A whole number of at least 0; none where it may be left out and is.
    pub const fn whole(
        name: &'static str,
        get: fn(&T) -> Option<u64>,
        range: Range,
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Whole(get, range), doc }
    }

    /// True or false.
    pub const fn switch(name: &'static str, doc: &'static str) -> Self {
        Self { name, place: name, kind: Kind::Switch, doc }
    }

    /// A text.
    pub const fn text(name: &'static str, doc: &'static str) -> Self {
        Self { name, place: name, kind: Kind::Text, doc }
    }

    /// One of these words.
    pub const fn one_of(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Self {
        Self { name, place: name, kind: Kind::OneOf(words), doc }
    }

    /// Anything else, such as a list of schedules: `what` says in words what it is, `example` is one as JSON.
    pub const fn other(
        name: &'static str,
        what: &'static str,
        example: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, place: name, kind: Kind::Other(what, example), doc }
    }

    /// The place in data, where that is an entry of a list: `eps[1]` for `eps2`.
    #[must_use]
    pub const fn at(mut self, place: &'static str) -> Self {
        self.place = place;
        self
    }

    fn check(&self, of: &str, read: &mut T) -> Result<()> {
        let name = self.place;
        match self.kind {
            Kind::Number(at, range) => range.check(of, name, *at(read)),
            Kind::Pair(_, at, [first, second]) => {
                let (a, b) = *at(read);
                first.check(of, &format!("{name}[0]"), a)?;
                second.check(of, &format!("{name}[1]"), b)
            }
            Kind::Numbers(get, range) => {
                let all = get(read);
                all.iter().enumerate().try_for_each(|(i, x)| range.check(of, &format!("{name}[{i}]"), *x))
            }
            Kind::Optional(get, range) => get(read).map_or(Ok(()), |x| range.check(of, name, x)),
            Kind::Whole(get, range) => {
                get(read).map_or(Ok(()), |n| require(of, name, n, range, range.contains(n as f64)))
            }
            Kind::Switch | Kind::Text | Kind::OneOf(_) | Kind::Other(..) => Ok(()),
        }
    }
}

/// How many numbers a table has that others may change by name.
pub const fn count_numbers<T>(table: &[Setting<T>]) -> usize {
    let (mut i, mut count) = (0, 0);
    while i < table.len() {
        count += match table[i].kind {
            Kind::Number(..) => 1,
            Kind::Pair(..) => 2,
            _ => 0,
        };
        i += 1;
    }
    count
}

/// The names of the numbers of a table that others may change; `N` is [`count_numbers`] of the same table.
pub const fn number_names<T, const N: usize>(table: &[Setting<T>]) -> [&'static str; N] {
    let (mut i, mut n, mut names) = (0, 0, [""; N]);
    while i < table.len() {
        match table[i].kind {
            Kind::Number(..) => {
                names[n] = table[i].name;
                n += 1;
            }
            Kind::Pair(both, ..) => {
                names[n] = both[0];
                names[n + 1] = both[1];
                n += 2;
            }
            _ => {}
        }
        i += 1;
    }
    names
}
