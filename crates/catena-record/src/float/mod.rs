//! Floats that come back from JSON exactly: finite ones as numbers, the others as `"inf"`, `"-inf"` and `"nan"`.
//!
//! JSON has no numbers for infinities and NaN, and serde_json writes null for them without an error. So all that catena writes
//! as JSON and may hold a float goes through here:
//!
//! * [`to_value`], [`from_value`]: any type to JSON and back, with words at any depth; [`Words`] for text and for files
//! * [`value`], [`number`]: one float as a value and back; [`text`] as text for files that are not JSON
//! * `#[serde(with = "catena_record::float")]` for a field that is exact whoever writes it: an `f64`, with `float::option` an
//!   `Option<f64>`, with `float::list` a list, with `float::map` a map from names
//!
//! A NaN comes back as a NaN; its sign and payload don't.
mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use self::read::from_value;
pub use self::write::{Words, to_value};

/// What stands in JSON for a float that is not finite.
///
/// ```
/// use catena_record::float::word;
///
/// assert_eq!([0.5, f64::NAN, f64::NEG_INFINITY].map(word), [None, Some("nan"), Some("-inf")]);
/// ```
pub fn word(number: f64) -> Option<&'static str> {
    match number {
        number if number.is_finite() => None,
        number if number.is_nan() => Some("nan"),
        number if number > 0.0 => Some("inf"),
        _ => Some("-inf"),
    }
}

fn of_word(text: &str) -> Option<f64> {
    match text {
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        "nan" => Some(f64::NAN),
        _ => None,
    }
}

/// A float as JSON.
///
/// ```
/// assert_eq!(catena_record::float::value(f64::INFINITY), "inf");
/// ```
pub fn value(number: f64) -> Value {
    word(number).map_or_else(|| number.into(), Value::from)
}

/// A float as text that reads back to the same bits: the shortest one, or a word.
///
/// ```
/// use catena_record::float::text;
///
/// assert_eq!([f64::NAN, 0.25, 1e-7].map(text), ["nan", "0.25", "1e-7"]);
/// ```
pub fn text(number: f64) -> String {
    word(number).map_or_else(|| format!("{number:?}"), str::to_owned)
}

/// A float from JSON; none if it is neither a number nor a word for one.
///
/// ```
/// use catena_record::float;
///
/// assert_eq!(float::number(&float::value(f64::INFINITY)), Some(f64::INFINITY));
/// assert_eq!(float::number(&"infinity".into()), None);
/// ```
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().and_then(of_word))
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, \"inf\", \"-inf\" or \"nan\" is expected")]
enum Exact {
    Number(f64),
    Text(NotFinite),
}

#[derive(Serialize, Deserialize)]
enum NotFinite {
    #[serde(rename = "inf")]
    Infinity,
    #[serde(rename = "-inf")]
    NegativeInfinity,
    #[serde(rename = "nan")]
    NaN,
}

impl From<f64> for Exact {
    fn from(number: f64) -> Self {
        match number {
            number if number.is_finite() => Self::Number(number),
            number if number.is_nan() => Self::Text(NotFinite::NaN),
            number if number > 0.0 => Self::Text(NotFinite::Infinity),
            _ => Self::Text(NotFinite::NegativeInfinity),
        }
    }
}

impl From<Exact> for f64 {
    fn from(exact: Exact) -> Self {
        match exact {
            Exact::Number(number) => number,
            Exact::Text(NotFinite::Infinity) => Self::INFINITY,
            Exact::Text(NotFinite::NegativeInfinity) => Self::NEG_INFINITY,
            Exact::Text(NotFinite::NaN) => Self::NAN,
        }
    }
}

/// Writes a number.
pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Exact::from(*number).serialize(serializer)
}

/// Reads a number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Exact::deserialize(deserializer).map(f64::from)
}

/// For an `Option<f64>`.
pub mod option {
    use super::*;

    /// Writes a number, if there is one.
    pub fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(Exact::from).serialize(serializer)
    }

    /// Reads a number, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(f64::from))
    }
}

/// For a list of numbers.
pub mod list {
    use super::*;

    /// Writes the list.
    pub fn serialize<S: Serializer>(list: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|number| Exact::from(*number)))
    }

    /// Reads the list.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let list = Vec::<Exact>::deserialize(deserializer)?;
        Ok(list.into_iter().map(f64::from).collect())
    }
}

/// For a map from names to numbers.
pub mod map {
    use super::*;

    /// Writes the map.
    pub fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(name, number)| (name, Exact::from(*number))))
    }

    /// Reads the map.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, Exact>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(name, number)| (name, number.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct All {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "option")]
        maybe: Option<f64>,
        #[serde(with = "map")]
        named: BTreeMap<String, f64>,
    }

    fn there_and_back(number: f64) -> [f64; 3] {
        let all = All { one: number, maybe: Some(number), named: [("n".to_owned(), number)].into() };
        // through a value, as a state goes, and through text, as a file does
        let value = serde_json::to_value(all).unwrap();
        let text = serde_json::to_string(&value).unwrap();
        let All { one, maybe, named } = serde_json::from_str(&text).unwrap();
        [one, maybe.unwrap(), named["n"]]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn every_bit_pattern_comes_back(bits: u64) {
            let number = f64::from_bits(bits);
            for back in there_and_back(number) {
                prop_assert!(back.to_bits() == bits || number.is_nan() && back.is_nan(), "{number} {back}");
            }
        }

        #[test]
        fn every_number_reads_back_to_the_same_bits(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let json = serde_json::to_string(&value(number)).unwrap();
            prop_assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), bits, "{}", json);
            let csv = text(number);
            prop_assert_eq!(csv.parse::<f64>().unwrap().to_bits(), bits, "{}", csv);
        }
    }

    #[test]
    fn what_is_no_finite_number_is_a_word() {
        let words = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0]
            .map(|number| serde_json::to_string(&value(number)).unwrap());
        assert_eq!(words, ["\"inf\"", "\"-inf\"", "\"nan\"", "-0.0"]);
        assert_eq!([f64::NAN, 0.25, 1e-7].map(text), ["nan", "0.25", "1e-7"]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for number in [f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324] {
            assert_eq!(there_and_back(number).map(f64::to_bits), [number.to_bits(); 3]);
        }
        let wrong = serde_json::from_str::<All>(r#"{"one": "infinity", "maybe": null, "named": {}}"#);
        assert!(wrong.err().unwrap().to_string().contains(r#"a number, "inf", "-inf" or "nan" is expected"#));
    }
}
