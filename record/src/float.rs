//! Floats that come back from JSON exactly: finite ones as numbers, the others as `"inf"`, `"-inf"` and `"nan"`.
//!
//! `#[serde(with = "catena_record::float")]` for an `f64`, `float::option` for an `Option<f64>`, `float::map` for a map from names.
//! A NaN comes back as a NaN; its sign and payload don't.
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
