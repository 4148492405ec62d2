//! Settings of callbacks and metrics that are infinite or NaN: refused by name and with what they are, or written as a word and
//! read back.
use std::collections::BTreeSet;

use catena_callbacks::{ClipGradNorm, JsonLines, Loggers, Params, example, from_value, metrics, registry};
use catena_chain::Callback;
use catena_tensor::Result;
use catena_tensor::settings::{self, Entry, Field};
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

/// Tries each word at each number: settings that are read are written as they came, others are told. Gives how many places it tried.
fn try_all(
    name: &str,
    written: &Value,
    read: impl Fn(Value) -> Result<Value>,
    taken: &mut BTreeSet<String>,
) -> usize {
    let mut places = Vec::new();
    numbers("", written, &mut places);
    for place in &places {
        // of a list that may be there, too
        let is_list = written.pointer(place).is_some_and(Value::is_null);
        let mut text = written.clone();
        *text.pointer_mut(place).unwrap() = "any text".into();
        text["name"] = name.into();
        if read(text).is_ok() {
            continue; // a name
        }
        for (word, listed) in WORDS.iter().flat_map(|word| [(word, false), (word, true)]) {
            let mut with = written.clone();
            let value = if listed { json!([word]) } else { json!(word) };
            if listed && !is_list {
                continue;
            }
            *with.pointer_mut(place).unwrap() = value.clone();
            with["name"] = name.into();
            match read(with) {
                Ok(again) if again.is_null() => {
                    taken.insert(format!("{name}{place} {value}, untold"));
                }
                Ok(again) => {
                    assert_eq!(again.pointer(place), Some(&value), "{name}{place}");
                    taken.insert(format!("{name}{place} {value}"));
                }
                Err(error) => {
                    let error = error.to_string();
                    let mut parts = place.split('/').filter(|part| !part.is_empty());
                    let named = parts.any(|part| error.contains(&format!("`{part}")));
                    assert!(named, "{name}{place} {value}: {error}");
                    // what may be one of two kinds is told by what it may be
                    let told = error.to_lowercase().contains(word)
                        || error.ends_with("is needed, or a list of numbers");
                    let told = told || listed;
                    assert!(told, "{name}{place} {value}: {error}");
                }
            }
        }
    }
    places.len()
}

fn settings_of(callback: &dyn Callback) -> Value {
    callback.about().settings
}

/// The settings of the registry's example, and every other with its default.
fn given(entry: &Entry<dyn Callback>) -> Value {
    let mut all = example(entry.name()).unwrap();
    for Field { name, default, .. } in entry.fields() {
        if let (Some(default), None) = (default, all.get(name.as_ref())) {
            all[name.as_ref()] = default;
        }
    }
    all
}

#[test]
fn whatever_of_a_callback_is_not_finite_is_refused_by_name_or_comes_back() {
    let (mut taken, mut tried) = (BTreeSet::new(), 0);
    for entry in registry().entries() {
        let name = entry.name();
        let read = |value: Value| Ok(settings_of(from_value(value)?.as_ref()));
        let all = given(entry);
        let mut written = read(all.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        if written.is_null() {
            written = all;
        }
        tried += try_all(name, &written, read, &mut taken);
    }
    assert!(tried > 40, "{tried}");
    let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
    assert_eq!(taken, TAKEN);
}

/// What makes sense when it is infinite: the norms that PyTorch has too, to clip nothing, and rows at the loaders' ends only.
const TAKEN: [&str; 5] = [
    "clip_grad_norm/max_norm \"inf\"",
    "clip_grad_norm/norm_type \"inf\"",
    "clip_grad_value/clip_value \"inf\"",
    "grad_norms/norm_type \"inf\", untold",
    "throughput/seconds \"inf\", untold",
];

#[test]
fn whatever_of_a_metric_is_not_finite_is_refused_by_name_or_comes_back() {
    let (mut taken, mut tried) = (BTreeSet::new(), 0);
    for name in metrics::names() {
        let read = |value: Value| Ok(metrics::from_value(value)?.settings());
        let tasks = [
            json!({}),
            json!({"task": "binary"}),
            json!({"task": "multiclass", "num_classes": 3}),
            json!({"task": "multilabel", "num_labels": 3}),
            json!({"beta": 0.5, "task": "binary"}),
            json!({"alpha": 0.5, "beta": 0.5, "task": "binary"}),
        ];
        let mut known = 0;
        for mut given in tasks {
            given["name"] = name.into();
            let Ok(written) = read(given) else { continue };
            tried += try_all(name, &written, read, &mut taken);
            known += 1;
        }
        assert!(known > 0, "{name}");
    }
    assert!(tried > 200, "{tried}");
    // the value where nothing counts may be any, and of a list of thresholds all scores may lie on one side
    let makes_sense = |taken: &&String| {
        taken.contains("/zero_division ") || (taken.contains("/thresholds [") && taken.contains("inf"))
    };
    assert_eq!(taken.iter().filter(|taken| !makes_sense(taken)).collect::<Vec<_>>(), [""; 0]);
    assert!(taken.contains("f1_score/zero_division \"nan\""));
}

#[test]
fn a_norm_that_is_infinite_is_data() {
    let clip = ClipGradNorm::new(f64::INFINITY).norm_type(f64::INFINITY);
    let expected = json!({"max_norm": "inf", "norm_type": "inf", "on_nonfinite": null});
    assert_eq!(settings_of(&clip), expected);
    // also where nobody knows of catena's way to write floats
    assert_eq!(serde_json::to_value(&clip).unwrap(), expected);
    assert_eq!(serde_json::from_value::<ClipGradNorm>(expected.clone()).unwrap(), clip);
    assert_eq!(settings::read::<ClipGradNorm>("clip_grad_norm", expected).unwrap(), clip);
}

#[test]
fn hyper_parameters_that_are_not_finite_are_words_everywhere() {
    let all = json!({"a": 1}).as_object().cloned().unwrap();
    let params = (f64::INFINITY, [f32::NAN, 0.5], all);
    let named: std::collections::BTreeMap<&str, _> = [("clip", params)].into();
    let read = Params::of(&named).unwrap();
    let expected = json!(["inf", ["nan", 0.5], {"a": 1}]);
    assert_eq!(read.iter().collect::<Vec<_>>(), [("clip", &expected)]);
    let loggers = Loggers::new().with(JsonLines::new()).params(&named);
    assert_eq!(settings_of(&loggers), json!({"params": {"clip": expected}}));
}
