//! Any type with floats in it, to JSON and back.
use std::collections::BTreeMap;

use catena_record::float::{Words, from_value, number, to_value, value};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Every way in which serde nests.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Nested {
    Unit,
    Double(f64),
    Single(f32),
    Pair(f64, Option<f32>),
    Fields { maybe: Option<f64>, list: Vec<f64>, word: String },
    Named(BTreeMap<String, f64>),
    Array([f32; 2]),
    Inside(Box<Nested>),
    Several(Vec<Nested>),
    Wrapped(Newtype),
    Tuple((f64, i64, String)),
    Tagged(Tagged),
    Numbered(BTreeMap<u8, f32>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Newtype(f64);

/// What serde reads by trying needs the attribute.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum Tagged {
    One {
        #[serde(with = "catena_record::float")]
        x: f64,
    },
    Two {
        #[serde(with = "catena_record::float::list")]
        x: Vec<f64>,
    },
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 3.0]),
    ]
}

fn single() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        prop::sample::select(vec![f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN_POSITIVE]),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("inf".to_owned()), Just("nan".to_owned()), "[a-z]{0,4}"]
}

fn nested() -> impl Strategy<Value = Nested> {
    let leaf = prop_oneof![
        Just(Nested::Unit),
        double().prop_map(Nested::Double),
        single().prop_map(Nested::Single),
        (double(), prop::option::of(single())).prop_map(|(a, b)| Nested::Pair(a, b)),
        (prop::option::of(double()), prop::collection::vec(double(), 0..4), word())
            .prop_map(|(maybe, list, word)| Nested::Fields { maybe, list, word }),
        prop::collection::btree_map(word(), double(), 0..4).prop_map(Nested::Named),
        [single(), single()].prop_map(Nested::Array),
        double().prop_map(|x| Nested::Wrapped(Newtype(x))),
        (double(), any::<i64>(), word()).prop_map(Nested::Tuple),
        double().prop_map(|x| Nested::Tagged(Tagged::One { x })),
        prop::collection::vec(double(), 0..4).prop_map(|x| Nested::Tagged(Tagged::Two { x })),
        prop::collection::btree_map(any::<u8>(), single(), 0..3).prop_map(Nested::Numbered),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|x| Nested::Inside(Box::new(x))),
            prop::collection::vec(inner, 0..4).prop_map(Nested::Several),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// The text of `Debug` tells every number but NaNs apart, and the zeros too.
    #[test]
    fn whatever_is_written_is_read_as_the_same(before in nested()) {
        let written = to_value(&before).unwrap();
        let after: Nested = from_value(&written).unwrap();
        prop_assert_eq!(format!("{before:?}"), format!("{after:?}"));
        // through a file's text, which a serializer writes without a value in between
        let text = serde_json::to_string_pretty(&Words(&before)).unwrap();
        let after: Nested = from_value(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    #[test]
    fn one_float_comes_back(x in double()) {
        let back = number(&value(x)).unwrap();
        prop_assert!(back.to_bits() == x.to_bits() || back.is_nan() && x.is_nan());
    }
}

#[test]
fn a_word_stands_for_a_float_only_where_a_float_is() {
    assert_eq!(to_value(&("inf", f64::INFINITY, [f32::NAN])).unwrap(), json!(["inf", "inf", ["nan"]]));
    let read: (String, f64, [f32; 1]) = from_value(&json!(["inf", "inf", ["nan"]])).unwrap();
    assert_eq!((read.0.as_str(), read.1), ("inf", f64::INFINITY));
    let error = from_value::<u64>(&json!("inf")).unwrap_err().to_string();
    assert_eq!(error, r#"invalid type: string "inf", expected u64"#);
    assert!(number(&json!("infinity")).is_none() && number(&json!(null)).is_none());
}

#[test]
fn what_is_no_number_is_told_as_serde_tells_it() {
    for (wrong, error) in [
        (json!(null), "invalid type: null, expected f64"),
        (json!("Infinity"), r#"invalid type: string "Infinity", expected f64"#),
        (json!(true), "invalid type: boolean `true`, expected f64"),
        (json!([1.0]), "invalid type: sequence, expected f64"),
        (json!({}), "invalid type: map, expected f64"),
    ] {
        assert_eq!(from_value::<f64>(&wrong).unwrap_err().to_string(), error);
    }
    let error = from_value::<(f64, f64)>(&json!([0.9])).unwrap_err().to_string();
    assert_eq!(error, "invalid length 1, expected a tuple of size 2");
}

#[test]
fn a_number_that_is_too_large_for_an_f32_is_no_infinity() {
    let error = from_value::<f32>(&json!(1e300)).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid value: floating point `1e+300`, expected a number that is not too large for an f32"
    );
    assert_eq!(from_value::<f32>(&json!(f32::MAX)).unwrap(), f32::MAX);
    assert_eq!(from_value::<f32>(&json!("-inf")).unwrap(), f32::NEG_INFINITY);
}
