//! Optimizer files of real PyTorch, read and written. `tests/interop/optim.py make crates/catena-tensor/tests/fixtures/torch_state` made them:
//! five steps, a file, five steps more. With `CATENA_PYTHON` set to a Python that has torch, PyTorch also goes on from the files
//! that catena writes.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catena_native::context::cpu_capability;
use catena_native::tensor::set_grad;
use catena_tensor::optim::{Optimizer, OptimizerConfig};
use catena_tensor::params::Parameter;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

type Numbers = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct All {
    shapes: BTreeMap<String, Vec<i64>>,
    grads: Vec<BTreeMap<String, Option<Vec<f64>>>>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    settings: Map<String, Value>,
    initial: Numbers,
    half: Numbers,
    end: Numbers,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch_state")
}

fn all() -> All {
    serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap()
}

fn kind_of(case: &str) -> Kind {
    if case.ends_with("f64") { Kind::Double } else { Kind::Float }
}

impl All {
    fn params(&self, case: &str, values: &Numbers) -> Vec<Parameter> {
        let made = |(name, data): (&String, &Vec<f64>)| {
            let tensor = Tensor::from_slice(data).to_kind(kind_of(case)).view(&self.shapes[name][..]);
            Parameter::new(name.clone(), tensor)
        };
        values.iter().map(made).collect()
    }

    fn steps(&self, optimizer: &mut Optimizer, params: &[Parameter], first: usize) {
        for grads in &self.grads[first..first + 5] {
            for p in params {
                let grad = grads[&p.name].as_ref();
                let grad =
                    grad.map(|data| Tensor::from_slice(data).to_kind(p.tensor.kind()).view_as(&p.tensor));
                set_grad(&p.tensor, grad.as_ref()).unwrap();
            }
            optimizer.step().unwrap();
            for group in optimizer.groups_mut() {
                let lr = group.get("lr").unwrap() * 0.9;
                group.set("lr", lr).unwrap();
            }
        }
    }
}

fn optimizer(settings: &Map<String, Value>, lr: f64, params: &[Parameter]) -> Optimizer {
    let mut settings = settings.clone();
    settings.insert("groups".into(), json!([{"pattern": "head.*", "lr": lr / 2.0}]));
    settings.insert("lr".into(), json!(lr));
    Optimizer::new(OptimizerConfig::from_value(Value::Object(settings)).unwrap(), params).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_kind(Kind::Double).flatten(0, -1).try_into().unwrap()
}

fn expect_equal(case: &str, params: &[Parameter], expected: &Numbers) {
    let same = ["sgd", "adam_", "adamw"].iter().any(|fused| case.starts_with(fused));
    let fused = same && cpu_capability().unwrap() == "AVX512"; // as on the machine that made the files
    let bound = match kind_of(case) {
        Kind::Double => 1e-12,
        _ if fused => 0.0,
        _ => 1e-5,
    };
    for p in params {
        let (got, expected) = (numbers(&p.tensor), &expected[&p.name]);
        let largest = expected.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
        let worst = got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f64::max) / largest;
        assert!(worst <= bound, "{case}: {} differs by {worst:e}", p.name);
    }
}

#[test]
fn going_on_from_pytorchs_file_is_going_on_in_pytorch() {
    let all = all();
    assert_eq!(all.cases.len(), 30);
    for (name, case) in &all.cases {
        let params = all.params(name, &case.half);
        // every setting comes from the file
        let mut own = optimizer(&case.settings, 123.0, &params);
        own.load(folder().join(format!("{name}.safetensors"))).unwrap();
        // torch counts no steps of SGD and Muon
        let counts = !name.starts_with("sgd") && !name.starts_with("muon");
        assert_eq!(own.steps(), if counts { 5 } else { 0 }, "{name}");
        all.steps(&mut own, &params, 5);
        expect_equal(name, &params, &case.end);
    }
}

#[test]
fn catenas_file_is_pytorchs() {
    let all = all();
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torch_state");
    std::fs::create_dir_all(&written).unwrap();
    std::fs::copy(folder().join("cases.json"), written.join("cases.json")).unwrap();
    for (name, case) in &all.cases {
        let params = all.params(name, &case.initial);
        let lr = case.settings["lr"].as_f64().unwrap();
        let mut own = optimizer(&case.settings, lr, &params);
        all.steps(&mut own, &params, 0);
        let file = written.join(format!("{name}.safetensors"));
        own.save(&file).unwrap();

        let (mut got, head) = read(&file);
        let (expected, torchs) = read(&folder().join(format!("{name}.safetensors")));
        for (key, expected) in expected {
            // torch makes Adagrad's state before the first step
            let Some(got) =
                got.remove(&key).or((name.starts_with("adagrad") && key.starts_with("head.scale"))
                    .then_some(expected.shallow_clone()))
            else {
                panic!("{name}: {key} is missing")
            };
            assert_eq!((got.size(), got.kind()), (expected.size(), expected.kind()), "{name}: {key}");
            let largest = expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE);
            let worst = (&got - &expected).abs().max().double_value(&[]) / largest;
            assert!(
                worst <= if kind_of(name) == Kind::Double { 1e-12 } else { 1e-5 },
                "{name}: {key}: {worst:e}"
            );
        }
        assert!(got.is_empty(), "{name}: {:?}", got.keys());
        for (got, torchs) in
            head["param_groups"].as_array().unwrap().iter().zip(torchs["param_groups"].as_array().unwrap())
        {
            for (setting, value) in
                got.as_object().unwrap().iter().filter(|(setting, _)| *setting != "initial_lr")
            {
                let sorted = |value: &Value| {
                    let mut names: Vec<String> = serde_json::from_value(value.clone()).unwrap();
                    names.sort();
                    names
                };
                match setting.as_str() {
                    "params" => assert_eq!(sorted(value), sorted(&torchs[setting])),
                    _ => assert_eq!(floats(value), floats(&torchs[setting]), "{name}: {setting}"),
                }
            }
        }

        let mut own = optimizer(&case.settings, 123.0, &params);
        own.load(&file).unwrap();
        assert_eq!((own.steps(), own.groups()[1].initial_lr()), (5, lr));
        all.steps(&mut own, &params, 5);
        expect_equal(name, &params, &case.end);
    }
    if let Some(python) = std::env::var_os("CATENA_PYTHON") {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/optim.py");
        let checked =
            std::process::Command::new(python).arg(program).arg("check").arg(&written).output().unwrap();
        assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    }
}

/// With 50 as 50.0.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(floats).collect(),
        other => other.clone(),
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn read(path: &Path) -> (BTreeMap<String, Tensor>, Value) {
    let file = std::fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    let head = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["optimizer"]).unwrap();
    (Tensor::read_safetensors(path).unwrap().into_iter().collect(), head)
}

#[test]
fn a_file_that_does_not_fit_is_refused_and_changes_nothing() {
    let all = all();
    let case = &all.cases["adam_f32"];
    let params = all.params("adam_f32", &case.half);
    let mut own = optimizer(&case.settings, 0.5, &params);
    let written = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut refused = |path: PathBuf, text: &str| {
        let error = own.load(&path).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        assert!(own.state().is_empty() && own.lr() == 0.25 && own.steps() == 0);
    };
    refused(folder().join("adamw_f32.safetensors"), "it is of `adamw`, but this optimizer is `adam`");
    refused(
        folder().join("adam_amsgrad_f32.safetensors"),
        "it was saved with amsgrad true, which keeps other state",
    );
    refused(folder().join("adam_f64.safetensors"), "is Double of shape");
    refused(
        folder().join("sgd_f32.safetensors"),
        "no group of its has the parameters head.scale, head.weight and no others",
    );
    refused(folder().join("none.safetensors"), "none.safetensors can't be read: there is no such file");
    let short = written.join("short.safetensors");
    let whole = std::fs::read(folder().join("adam_f32.safetensors")).unwrap();
    std::fs::write(&short, &whole[..whole.len() - 1]).unwrap();
    refused(short, "short.safetensors can't be read: it is no whole safetensors file: tensor `");
    let plain = written.join("plain.safetensors");
    Tensor::write_safetensors(&[("w", Tensor::from(1.0))], &plain).unwrap();
    refused(plain, "plain.safetensors: its metadata have no `optimizer`");
}
