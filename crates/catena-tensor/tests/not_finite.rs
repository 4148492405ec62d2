//! Settings that are infinite or NaN: refused by name and with what they are, or written as a word and read back.
use std::collections::BTreeSet;

use catena_tensor::loss::{self, LossFn};
use catena_tensor::optim::{self, Lion, OptimizerConfig, ParamGroup, Rule, Sgd};
use catena_tensor::schedule::{AnySchedule, Plateau, PlateauState, Schedule};
use catena_tensor::{Result, settings};
use serde_json::{Value, json};

const WORDS: [&str; 3] = ["inf", "-inf", "nan"];

/// Where numbers (and settings that are not given) are in settings, as JSON pointers.
fn numbers(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Number(_) | Value::Null => found.push(at.to_owned()),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, value)| numbers(&format!("{at}/{i}"), value, found));
        }
        Value::Object(all) => {
            all.iter().for_each(|(name, value)| numbers(&format!("{at}/{name}"), value, found));
        }
        _ => {}
    }
}

/// Tries each word at each number: settings that are read are written as they came, others are told. Gives what is taken.
fn try_all(written: &Value, read: impl Fn(Value) -> Result<Value>, taken: &mut BTreeSet<String>) -> usize {
    let mut places = Vec::new();
    numbers("", written, &mut places);
    for place in &places {
        for word in WORDS {
            let mut with = written.clone();
            *with.pointer_mut(place).unwrap() = word.into();
            match read(with.clone()) {
                Ok(again) => {
                    assert_eq!(again, with, "{place}");
                    taken.insert(format!("{}{place} {word}", written["name"].as_str().unwrap_or_default()));
                }
                Err(error) => {
                    let error = error.to_string();
                    let mut parts = place.split('/').filter(|part| !part.is_empty());
                    let named = parts.any(|part| error.contains(&format!("`{part}")));
                    assert!(named, "{place} {word}: {error}");
                    assert!(error.to_lowercase().contains(word), "{place} {word}: {error}");
                }
            }
        }
    }
    places.len()
}

#[test]
fn whatever_is_not_finite_is_refused_by_name_or_comes_back() {
    let (mut taken, mut tried) = (BTreeSet::new(), 0);
    for name in optim::names() {
        let read = |value: Value| {
            let config = OptimizerConfig::from_value(value)?;
            config.check()?;
            config.to_value()
        };
        let group = json!([{"pattern": "*.bias", "lr": 0.5, "weight_decay": 0.5}]);
        let mut plain = json!({ "name": name });
        tried += try_all(&read(plain.clone()).unwrap(), read, &mut taken);
        plain["groups"] = group;
        let written =
            read(plain).or_else(|_| read(json!({"name": name, "groups": [{"pattern": "*", "lr": 0.5}]})));
        tried += try_all(&written.unwrap(), read, &mut taken);
    }
    for name in loss::names() {
        let read = |value: Value| Ok(loss::from_value(value)?.settings());
        tried += try_all(&read(json!({ "name": name })).unwrap(), read, &mut taken);
    }
    let cases: Value = serde_json::from_str(include_str!("fixtures/schedule.json")).unwrap();
    for name in AnySchedule::NAMES {
        // a case of the fixture has what the schedule can't do without
        let given = cases["cases"].as_array().unwrap().iter().map(|case| case["schedule"].clone());
        let mut given =
            given.filter(|given| given["name"] == **name && !given.to_string().contains("lambda"));
        let read = |value: Value| Ok(AnySchedule::from_value(value)?.settings());
        let given = given.next_back().unwrap_or_else(|| panic!("{name} has no case"));
        let written = read(given).unwrap_or_else(|error| panic!("{name}: {error}"));
        tried += try_all(&written, read, &mut taken);
    }
    for plateau in [Plateau::new(), Plateau::new().min_lrs([0.1, 0.2])] {
        let read = |value: Value| Plateau::from_value(value).map(|plateau| settings::to_value(&plateau));
        tried += try_all(&settings::to_value(&plateau), read, &mut taken);
    }
    assert!(tried > 200, "{tried}");
    // none of PyTorch's makes sense there
    assert_eq!(taken, BTreeSet::new());
}

#[test]
fn an_error_tells_the_number_that_was_given_and_not_null() {
    let error = |group: ParamGroup| Sgd::new(0.1).group(group).check().unwrap_err().to_string();
    let told = "sgd: `lr` is NaN, but must be a number of at least 0";
    assert_eq!(error(ParamGroup::new("*.bias").lr(f64::NAN)), told);
    assert_eq!(error(ParamGroup::new("*.bias").set("lr", f32::NAN)), told);
    let error = |wrong: ParamGroup| Lion::new(0.1).group(wrong).check().unwrap_err().to_string();
    assert_eq!(
        error(ParamGroup::new("*").set("betas", (0.9, f64::INFINITY))),
        "lion: `betas[1]` is inf, but must be in [0, 1)"
    );
    assert!(
        error(ParamGroup::new("*").set("betas", json!([0.9, f64::INFINITY])))
            .contains("null is what many programs write")
    );
    let config = Sgd::new(0.1).group(ParamGroup::new("*").lr(f64::NEG_INFINITY));
    assert_eq!(config.to_value().unwrap()["groups"][0]["lr"], "-inf");
    assert!(config.describe().ends_with("`*`: lr \"-inf\""), "{}", config.describe());
}

#[test]
fn what_a_plateau_remembers_comes_back() {
    for best in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.5] {
        let state = PlateauState { best: Some(best), ..PlateauState::default() };
        let text = serde_json::to_string(&state).unwrap();
        let back: PlateauState = serde_json::from_str(&text).unwrap();
        assert_eq!(back.best.map(f64::to_bits), state.best.map(f64::to_bits));
    }
}
