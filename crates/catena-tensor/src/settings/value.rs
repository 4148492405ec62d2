//! Settings from data, with errors that name the setting; and to data.
use catena_record::float;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Reads settings: a `serde` type from a JSON object. `of` is whose settings they are.
///
/// An error names the setting, which serde alone does not, and says what was expected in words. Where a setting is a float,
/// `"inf"`, `"-inf"` and `"nan"` are read too.
///
/// ```
/// use catena_tensor::schedule::Cyclic;
/// use catena_tensor::settings;
/// use serde_json::json;
///
/// let wrong = json!({"base_lr": 0.1, "max_lr": 1.0, "step_size_up": -5});
/// assert_eq!(
///     settings::read::<Cyclic>("cyclic", wrong).unwrap_err().to_string(),
///     "cyclic: `step_size_up`: invalid value: integer `-5`, expected a whole number of at least 0",
/// );
/// ```
pub fn read<T: DeserializeOwned>(of: &str, settings: Value) -> Result<T> {
    let why = match float::from_value(&settings) {
        Ok(read) => return Ok(read),
        Err(why) => why.to_string(),
    };
    let text = in_words(&why);
    let why = match culprit::<T>(&settings, &why) {
        Some(name) => format!("`{name}`: {text}"),
        None => text,
    };
    Err(Error::Settings { of: of.into(), why })
}

/// Settings as data, which [`read`] reads: floats that are not finite are `"inf"`, `"-inf"` and `"nan"`, for JSON has no numbers for
/// them and serde_json would write null. Null if they can't be written, because a part of them lives in code only.
///
/// ```
/// use catena_tensor::settings;
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
///
/// #[derive(Serialize, Deserialize)]
/// struct Clip {
///     norm_type: f64,
/// }
///
/// let written = settings::to_value(&Clip { norm_type: f64::INFINITY });
/// assert_eq!(written, json!({"norm_type": "inf"}));
/// assert_eq!(settings::read::<Clip>("clip", written)?.norm_type, f64::INFINITY);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn to_value(settings: &(impl Serialize + ?Sized)) -> Value {
    float::to_value(settings).unwrap_or_default()
}

/// The setting that can't be read: the first one that alone fails with the same words.
fn culprit<'a, T: DeserializeOwned>(settings: &'a Value, why: &str) -> Option<&'a str> {
    // these name it
    if why.starts_with("unknown field") || why.starts_with("missing field") {
        return None;
    }
    let settings = settings.as_object()?;
    let alone = |(name, value): &(&String, &Value)| {
        let tag = settings.get("name").map(|tag| ("name".to_owned(), tag.clone()));
        let only: Map<String, Value> =
            tag.into_iter().chain([(name.to_string(), (*value).clone())]).collect();
        float::from_value::<T>(&only.into()).is_err_and(|error| error.to_string() == why)
    };
    settings.iter().find(alone).map(|(name, _)| name.as_str())
}

/// What serde expected, without the names of Rust's types.
fn in_words(why: &str) -> String {
    let Some((what, expected)) = why.rsplit_once("expected ") else { return why.to_owned() };
    let words = match expected {
        "u64" | "u32" | "usize" => "a whole number of at least 0".into(),
        "i64" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "a sequence" => "a list".into(),
        other => other.replace("a tuple of size", "a list of"),
    };
    let from_null = match (what, expected) {
        ("invalid type: null, ", "f64" | "f32") => {
            "; null is what many programs write for numbers that JSON has not: write \"nan\", \"inf\" or \"-inf\""
        }
        _ => "",
    };
    format!("{what}expected {words}{from_null}")
}

/// The error for a field that a thing does not have, with those that it has: `serde`'s sentence, for what is read without it.
///
/// ```
/// let error = catena_tensor::settings::unknown_field("std", "bias", &["weight"]);
/// assert_eq!(error.to_string(), "std: unknown field `bias`, expected `weight`");
/// ```
pub fn unknown_field(of: &str, field: &str, known: &[&str]) -> Error {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let expected = match &quoted[..] {
        [] => "there are no fields".to_owned(),
        [one] => format!("expected {one}"),
        [one, other] => format!("expected {one} or {other}"),
        several => format!("expected one of {}", several.join(", ")),
    };
    Error::Settings { of: of.to_owned(), why: format!("unknown field `{field}`, {expected}") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(rename = "count")]
        _count: u64,
        #[serde(default, rename = "label")]
        _label: Option<i64>,
        #[serde(default, rename = "betas")]
        _betas: (f64, f64),
        #[serde(default, rename = "yes")]
        _yes: bool,
    }

    #[test]
    fn an_error_names_the_setting_that_can_not_be_read() {
        for (settings, text) in [
            (
                json!({"count": -1}),
                "`count`: invalid value: integer `-1`, expected a whole number of at least 0",
            ),
            (
                json!({"count": 1.5, "yes": true}),
                "`count`: invalid type: floating point `1.5`, expected a whole number of at least 0",
            ),
            (
                json!({"count": 1, "label": "x"}),
                r#"`label`: invalid type: string "x", expected a whole number"#,
            ),
            (json!({"count": 1, "betas": [0.9]}), "`betas`: invalid length 1, expected a list of 2"),
            // what serde_json writes for a NaN
            (
                json!({"count": 1, "betas": [0.9, f64::NAN]}),
                r#"`betas`: invalid type: null, expected a number; null is what many programs write for numbers that JSON has not: write "nan", "inf" or "-inf""#,
            ),
            (json!({"count": 1, "yes": 1}), "`yes`: invalid type: integer `1`, expected a boolean"),
            (json!({"yes": true}), "missing field `count`"),
            (
                json!({"count": 1, "no": true}),
                "unknown field `no`, expected one of `count`, `label`, `betas`, `yes`",
            ),
            (json!(3), "invalid type: integer `3`, expected struct Settings"),
        ] {
            let error = read::<Settings>("this", settings).unwrap_err();
            assert_eq!(error.to_string(), format!("this: {text}"));
        }
        assert!(read::<Settings>("this", json!({"count": 1, "betas": [0.5, 1]})).is_ok());
        assert!(read::<Settings>("this", json!({"count": 1, "betas": [0.5, "inf"]})).is_ok());
    }
}
