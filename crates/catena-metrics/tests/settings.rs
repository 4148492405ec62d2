//! Settings are data: whatever a metric reads, it writes, and reads again.
use std::collections::BTreeSet;

use catena_metrics::{from_value, names};
use serde_json::{Value, json};

/// Names that are read only: torchmetrics' other way to ask for a root, and its switch for speed.
const READ_ONLY: [&str; 2] = ["squared", "validate_args"];

/// Names that tell the task.
const TASK: [&str; 3] = ["num_classes", "num_labels", "task"];

/// The names that a metric reads, as its error lists them.
fn known(name: &str) -> BTreeSet<String> {
    let why = from_value(json!({"name": name, "task": "binary", " ": 0})).unwrap_err().to_string();
    let known = why.split_once("` `, ").unwrap_or_else(|| panic!("{name}: {why}")).1;
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Values of this setting, at least one of which is not the default and fits the metric.
fn values(setting: &str) -> Vec<Value> {
    match setting {
        "adaptive_k" | "logits" | "smooth" | "soft_targets" => vec![json!(true), json!(false)],
        "adjusted" => vec![json!(true), json!(2)],
        "aggregation" => vec![json!("median"), json!("max")],
        "alpha" | "beta" | "epsilon" => vec![json!(0.25), json!("inf"), json!(3.5)],
        "average" => vec![json!("macro"), json!("none"), json!("weighted"), json!("micro")],
        "class_dim" => vec![json!(1), json!(-2)],
        "empty_target_action" => vec![json!("skip"), json!("pos"), json!("error")],
        "ignore_index" => vec![json!(1), json!(-7)],
        "max_fpr" => vec![json!(0.5)],
        "multidim_average" => vec![json!("samplewise")],
        "multioutput" => vec![json!("raw_values"), json!("variance_weighted")],
        "n_bins" | "num_outputs" => vec![json!(7)],
        "n_gram" => vec![json!(2)],
        "norm" => vec![json!("l2"), json!("max")],
        "normalize" => vec![json!("true"), json!("pred"), json!("all")],
        "threshold" => vec![json!(0.25), json!(0.0)],
        "thresholds" => vec![json!(5), json!([0.25, 0.5])],
        "top_k" => vec![json!(2), json!([2, 3])],
        "weights" => vec![json!("linear"), json!("quadratic"), json!([0.5, 0.25, 0.125, 0.125])],
        "zero_division" => vec![json!(1.0), json!("nan")],
        other => panic!("give a value for `{other}`"),
    }
}

#[test]
fn every_setting_that_a_metric_reads_is_written_and_gives_equal_settings_again() {
    let tasks = [
        json!({"task": "binary"}),
        json!({"task": "multiclass", "num_classes": 3}),
        json!({"task": "multilabel", "num_labels": 4}),
    ];
    for name in names() {
        let known = known(name);
        let tasks = if known.contains("task") { &tasks[..] } else { &[json!({})] };
        let mut tried: BTreeSet<&str> = TASK.into_iter().chain(READ_ONLY).collect();
        for task in tasks {
            let mut given = task.clone();
            given["name"] = name.into();
            let read = |given: &Value| from_value(given.clone()).map(|metric| metric.settings());
            // some metrics are not for every task
            let Ok(default) = read(&given) else { continue };
            let written: BTreeSet<&str> = default.as_object().unwrap().keys().map(String::as_str).collect();
            for (setting, value) in task.as_object().unwrap() {
                assert_eq!(&default[setting], value, "{name}");
            }
            for setting in known.iter().map(String::as_str) {
                if TASK.contains(&setting) || READ_ONLY.contains(&setting) {
                    continue;
                }
                assert!(written.contains(setting), "{name} reads `{setting}`, but does not write it");
                for value in values(setting) {
                    let mut given = given.clone();
                    given[setting] = value.clone();
                    let Ok(settings) = read(&given) else { continue };
                    assert_eq!(settings[setting], value, "{name}: `{setting}`");
                    assert_eq!(read(&settings).unwrap(), settings, "{name}: `{setting}`");
                    if settings != default {
                        tried.insert(setting);
                    }
                }
            }
            assert!(
                written.iter().all(|setting| *setting == "name" || known.contains(*setting)),
                "{written:?}"
            );
        }
        let untried: Vec<&String> =
            known.iter().filter(|setting| !tried.contains(setting.as_str())).collect();
        assert!(untried.is_empty(), "{name}: {untried:?}");
    }
}

#[test]
fn a_metric_is_called_as_it_is_registered() {
    for name in names() {
        let given = json!({"name": name, "task": "binary"});
        let without = json!({"name": name});
        let metric = from_value(given).or_else(|_| from_value(without)).unwrap();
        assert_eq!(metric.name(), name);
    }
}
