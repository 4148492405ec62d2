//! The program `parity` answers with PyTorch's numbers.
mod common;

use std::collections::BTreeMap;

use serde_json::{Value, json};

fn parity(spec: &Value) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spec.json");
    std::fs::write(&path, spec.to_string()).unwrap();
    let output = common::run("parity", &[path.to_str().unwrap()]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(serde_json::from_str(&text(&output.stdout)).unwrap()),
        false => Err(text(&output.stderr)),
    }
}

/// Flat numbers as nested lists of this shape.
fn nested<T: Clone + Into<Value>>(numbers: &[T], shape: &[u64]) -> Value {
    match shape {
        [] => numbers[0].clone().into(),
        [n, rest @ ..] => {
            numbers.chunks(numbers.len() / *n as usize).map(|part| nested(part, rest)).collect()
        }
    }
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

#[test]
fn optimizers_step_as_pytorchs_do() {
    let fixture: Value =
        serde_json::from_str(include_str!("../crates/catena-tensor/tests/fixtures/optim.json")).unwrap();
    let shape =
        |name: &str| serde_json::from_value::<Vec<u64>>(fixture["params"][name]["shape"].clone()).unwrap();
    let tensor = |name: &str, data: &Value| match data {
        Value::Null => Value::Null,
        data => nested(&flat(data), &shape(name)),
    };
    let object = |tensors: &Value, data: fn(&Value) -> &Value| -> Value {
        let tensors = tensors.as_object().unwrap().iter();
        Value::Object(tensors.map(|(name, t)| (name.clone(), tensor(name, data(t)))).collect())
    };
    let params = object(&fixture["params"], |p| &p["data"]);
    let grads: Vec<Value> = fixture["grads"].as_array().unwrap().iter().map(|g| object(g, |g| g)).collect();
    let cases = fixture["cases"].as_array().unwrap();
    let mut tried = 0;
    for case in cases.iter().filter(|case| case["dtype"] == "f64" && case["groups"] == json!([])).step_by(3) {
        let spec =
            json!({ "dtype": "f64", "optimizer": case["optimizer"], "params": params, "grads": grads });
        let answer = parity(&spec).unwrap();
        let after: BTreeMap<String, Value> = serde_json::from_value(case["after"].clone()).unwrap();
        for (step, expected) in after {
            let got = &answer["steps"][step.parse::<usize>().unwrap() - 1]["params"];
            for (name, expected) in expected.as_object().unwrap() {
                let (got, expected) = (flat(&got[name]), flat(expected));
                let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
                let close = got.iter().zip(&expected).all(|(g, e)| (g - e).abs() <= 1e-12 * largest);
                assert!(close, "{} after {step}: {name}", case["name"]);
            }
        }
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let fixture: Value =
        serde_json::from_str(include_str!("../crates/catena-tensor/tests/fixtures/loss.json")).unwrap();
    let near = |got: &Value, expected: &Value, what: &str| {
        let (got, expected) = (flat(got), flat(expected));
        let largest = expected.iter().fold(1f64, |most, x| most.max(x.abs()));
        assert_eq!(got.len(), expected.len(), "{what}");
        assert!(got.iter().zip(&expected).all(|(g, e)| (g - e).abs() <= 1e-12 * largest), "{what}");
    };
    let torchs = |name: &str| if name == "output" { "input".to_owned() } else { name.to_owned() };
    // each answer is a process: one case of each loss
    let cases = fixture["cases"].as_array().unwrap();
    let by_loss: BTreeMap<&str, &Value> =
        cases.iter().map(|case| (case["loss"]["name"].as_str().unwrap(), case)).collect();
    assert!(by_loss.len() >= 28, "{}", by_loss.len());
    for (i, case) in by_loss.into_values().enumerate() {
        let tensors: BTreeMap<String, Value> = serde_json::from_value(case["tensors"].clone()).unwrap();
        let tensors = tensors.into_iter().map(|(name, tensor)| {
            let shape: Vec<u64> = serde_json::from_value(tensor["shape"].clone()).unwrap();
            let data = tensor["data"].as_array().unwrap();
            let whole = |x: &Value| {
                if tensor["dtype"] == "i64" { json!(x.as_f64().unwrap() as i64) } else { x.clone() }
            };
            let data: Vec<Value> = data.iter().map(whole).collect();
            (torchs(&name), nested(&data, &shape))
        });
        let tensors: Value = tensors.collect::<serde_json::Map<_, _>>().into();
        let mut loss = case["loss"].clone();
        let answer = parity(&json!({"dtype": "f64", "loss": loss, "tensors": tensors})).unwrap();
        let what = case["name"].as_str().unwrap();
        near(&answer["value"], &json!([case["value"]]), what);
        for (name, grad) in case["grads"].as_object().unwrap() {
            near(&answer["grads"][torchs(name)], &grad["data"], what);
        }
        if i % 4 != 0 {
            continue;
        }
        loss["reduction"] = json!("none");
        let answer = parity(&json!({"loss": loss, "tensors": tensors})).unwrap();
        near(&answer["value"], &case["each"]["data"], what);
    }
    let spec = json!({"loss": {"name": "l1"}, "tensors": {"input": [[1.0], [2.0]], "target": [1.0, 2.0]}});
    let expected =
        "error: `target` of shape [2] doesn't fit: `output` has shape [2, 1], and the two must be equal";
    assert_eq!(parity(&spec).unwrap_err(), expected);
    // labels of -100 are left out by default, as in PyTorch
    let spec = json!({"loss": {"name": "nll"}, "tensors": {"input": [[-1.0, -2.0], [-3.0, -4.0]], "target": [1, -100]}});
    assert_eq!(parity(&spec).unwrap()["value"], json!(2.0));
}

#[test]
fn clipping_norms_and_the_lr_of_each_step_are_told() {
    let spec = json!({
        "optimizer": {"name": "sgd", "lr": 1.0},
        "params": {"w": [[0.0, 0.0]], "b": 0.0},
        "grads": [{"w": [[3.0, 0.0]], "b": 4.0}, {"w": [[0.3, 0.4]], "b": null}],
        "schedule": {"name": "step", "step_size": 1, "gamma": 0.5},
        "clip": {"norm": 1.0},
    });
    let steps = &parity(&spec).unwrap()["steps"];
    assert_eq!((&steps[0]["lr"], &steps[0]["norm"]), (&json!(1.0), &json!(5.0)));
    assert_eq!((&steps[1]["lr"], &steps[1]["norm"]), (&json!(0.5), &json!(0.5)));
    let b = steps[1]["params"]["b"].as_f64().unwrap();
    assert!((b + 0.8).abs() < 1e-6, "{b}");
}

#[test]
fn schedules_have_pytorchs_values() {
    let fixture: Value =
        serde_json::from_str(include_str!("../crates/catena-tensor/tests/fixtures/schedule.json")).unwrap();
    let cases =
        fixture["cases"].as_array().unwrap().iter().filter(|case| case["schedule"]["name"].is_string());
    let mut tried = std::collections::BTreeSet::new();
    for case in cases {
        let name = case["schedule"]["name"].as_str().unwrap();
        // one case a schedule: `crates/catena-tensor/tests/schedules.rs` tries them all
        if name.starts_with("lambda") || name.starts_with("multiplicative") || !tried.insert(name) {
            continue;
        }
        let spec = json!({
            "schedule": case["schedule"], "base_lr": case["base_lr"], "steps": case["steps"], "metric": case["metric"],
        });
        let (got, expected) = (flat(&parity(&spec).unwrap()["values"]), flat(&case["values"]));
        let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
        assert_eq!(got.len(), expected.len(), "{}", case["name"]);
        assert!(got.iter().zip(&expected).all(|(g, e)| (g - e).abs() <= 1e-12 * largest), "{}", case["name"]);
    }
    assert!(tried.len() > 10, "{tried:?}");
}

#[test]
fn a_spec_that_makes_no_sense_is_refused_in_words() {
    for (spec, text) in [
        (json!({}), "error: the spec has neither `optimizer` nor `schedule` nor `metric` nor `loss`"),
        (
            json!({"schedule": {"name": "exponential", "gama": 1}, "base_lr": 1, "steps": 1}),
            "expected `gamma`",
        ),
        (json!({"schedule": {"name": "sawtooth"}, "base_lr": 1, "steps": 1}), "sawtooth"),
        (
            json!({"optimizer": {"name": "adamw", "lr": -1.0}, "params": {"w": [1.0]}, "grads": []}),
            "`lr` is -1",
        ),
    ] {
        let error = parity(&spec).unwrap_err();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn metrics_are_answered_over_all_batches() {
    let multiclass = |name: &str, more: Value| {
        let mut metric = json!({"name": name, "task": "multiclass", "num_classes": 3});
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        metric
    };
    let labels = json!([{"input": [0, 1], "target": [0, 1]}, {"input": [2], "target": [1], "weight": [0.5]}]);
    let cat = json!([{
        "input": ["the cat is on the mat"],
        "target": [["there is a cat on the mat", "a cat is on the mat"]],
    }]);
    let speech = json!([
        {"input": ["this is the prediction"], "target": ["this is the reference"]},
        {"input": ["there is an other sample"], "target": ["there is another one"]},
    ]);
    let search = json!([
        {"input": [0.2, 0.3, 0.5], "target": [0, 0, 1], "indexes": [0, 0, 0]},
        {"input": [0.1, 0.3, 0.5, 0.2], "target": [0, 1, 0, 1], "indexes": [1, 1, 1, 1]},
    ]);
    for (metric, batches, expected) in [
        (multiclass("accuracy", json!({})), &labels, json!(0.8)),
        (multiclass("recall", json!({"average": null})), &labels, json!([1.0, 1.0 / 1.5, 0.0])),
        (
            multiclass("confusion_matrix", json!({})),
            &labels,
            json!([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]]),
        ),
        (json!({"name": "bleu_score"}), &cat, json!(0.7598356856515925)),
        (json!({"name": "word_error_rate"}), &speech, json!(0.5)),
        (
            json!({"name": "retrieval_average_precision"}),
            &search,
            json!((1.0 + (0.5 + 2.0 / 3.0) / 2.0) / 2.0),
        ),
        (
            json!({"name": "pearson_corrcoef"}),
            &json!([{"input": [1.0, 1.0], "target": [1.0, 2.0]}]),
            json!("nan"),
        ),
        (
            json!({"name": "mean_absolute_error"}),
            &json!([{"input": ["inf", 1.0], "target": [1.0, 2.0]}]),
            json!("inf"),
        ),
    ] {
        let value = parity(&json!({"metric": metric, "batches": batches})).unwrap()["value"].take();
        let numbers = |value: &Value| if value.is_string() { Vec::new() } else { flat(value) };
        let (got, wanted) = (numbers(&value), numbers(&expected));
        assert_eq!(got.len(), wanted.len(), "{metric}: {value}");
        assert!(got.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{metric}: {value}");
        assert!(!value.is_string() || value == expected, "{metric}: {value}");
    }
    let spec = json!({"metric": {"name": "acuracy", "task": "binary"}, "batches": []});
    let error = parity(&spec).unwrap_err();
    assert!(
        error.starts_with("error: metric: unknown name `acuracy`, expected one of `accuracy`, `auroc`"),
        "{error}"
    );
}
