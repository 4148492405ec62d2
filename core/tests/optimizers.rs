//! Optimizers against PyTorch: 200 steps with varying, zero and missing gradients (`fixtures/make_optim.py` made the numbers).
use std::collections::BTreeMap;

use catena_native::context::cpu_capability;
use catena_native::tensor::set_grad;
use catena_tensor::optim::{Adam, AdamW, Optimizer, OptimizerConfig, ParamGroup, RAdam, Sgd};
use catena_tensor::params::Parameter;
use serde::Deserialize;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

#[derive(Deserialize)]
struct Fixture {
    cpu_capability: String,
    params: BTreeMap<String, Initial>,
    grads: Vec<BTreeMap<String, Option<Vec<f64>>>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Initial {
    shape: Vec<i64>,
    data: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    dtype: String,
    fused: bool,
    optimizer: serde_json::Map<String, Value>,
    groups: Vec<BTreeMap<String, Value>>,
    after: BTreeMap<u64, BTreeMap<String, Vec<f64>>>,
    state: BTreeMap<String, BTreeMap<String, Value>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/optim.json")).unwrap()
}

fn config(case: &Case) -> OptimizerConfig {
    let mut settings = case.optimizer.clone();
    let name = settings.remove("name").unwrap();
    let settings = Value::Object(settings);
    let mut config: OptimizerConfig = match name.as_str().unwrap() {
        "sgd" => serde_json::from_value::<Sgd>(settings).unwrap().into(),
        "adam" => serde_json::from_value::<Adam>(settings).unwrap().into(),
        "adamw" => serde_json::from_value::<AdamW>(settings).unwrap().into(),
        "radam" => serde_json::from_value::<RAdam>(settings).unwrap().into(),
        other => panic!("{other} is not in this fixture"),
    };
    for group in &case.groups {
        let mut own = ParamGroup::new(group["pattern"].as_str().unwrap());
        for (name, value) in group.iter().filter(|(name, _)| *name != "pattern") {
            own = own.set(name, value.clone());
        }
        config = config.group(own);
    }
    config
}

fn tensor(data: &[f64], shape: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(data).to_kind(kind).view(shape)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.detach().to_kind(Kind::Double).flatten(0, -1).try_into().unwrap()
}

/// Trains as the case says; gives parameters after the steps it names, and the optimizer.
fn run(fixture: &Fixture, case: &Case) -> (BTreeMap<u64, BTreeMap<String, Vec<f64>>>, Optimizer) {
    let kind = if case.dtype == "f64" { Kind::Double } else { Kind::Float };
    // in the order in which PyTorch's program had them
    let params: Vec<Parameter> = fixture
        .params
        .iter()
        .map(|(name, p)| Parameter {
            name: name.clone(),
            tensor: tensor(&p.data, &p.shape, kind).set_requires_grad(true),
        })
        .collect();
    let mut optimizer = Optimizer::new(config(case), &params).unwrap();
    let mut after = BTreeMap::new();
    for (step, grads) in (1..).zip(&fixture.grads) {
        for p in &params {
            let grad = grads[&p.name].as_ref().map(|data| tensor(data, &p.tensor.size(), kind));
            set_grad(&p.tensor, grad.as_ref()).unwrap();
        }
        optimizer.step().unwrap();
        if case.after.contains_key(&step) {
            after.insert(step, params.iter().map(|p| (p.name.clone(), numbers(&p.tensor))).collect());
        }
    }
    (after, optimizer)
}

/// The largest difference, relative to the expected tensor's largest magnitude.
fn difference(got: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs())).max(f64::MIN_POSITIVE);
    got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0f64, f64::max) / largest
}

#[test]
fn every_case_agrees_with_pytorch() {
    let fixture = fixture();
    let same_kernels = cpu_capability().unwrap() == fixture.cpu_capability;
    let mut wrong = Vec::new();
    for case in &fixture.cases {
        let (after, _) = run(&fixture, case);
        let worst = case
            .after
            .iter()
            .flat_map(|(step, params)| {
                params.iter().map(|(name, expected)| difference(&after[step][name], expected))
            })
            .fold(0f64, f64::max);
        // the fused kernels are the same code, so on the same instruction set they give the same bits
        let bound = match (case.dtype.as_str(), case.fused && same_kernels) {
            ("f64", _) => 1e-12,
            (_, true) => 0.0,
            (_, false) => 1e-5,
        };
        if worst.is_nan() || worst > bound {
            wrong.push(format!("{}: {worst:e} > {bound:e}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(fixture.cases.len() > 90);
}

#[test]
fn state_has_torchs_names_and_values_and_only_where_torch_has_it() {
    let fixture = fixture();
    for case in &fixture.cases {
        let (_, optimizer) = run(&fixture, case);
        let state: BTreeMap<String, Tensor> = optimizer.state().into_iter().collect();
        let expected: BTreeMap<String, Vec<f64>> = case
            .state
            .iter()
            .flat_map(|(param, state)| {
                state.iter().map(move |(name, value)| (format!("{param}.{name}"), value))
            })
            .filter_map(|(name, value)| match value {
                Value::Null => None,
                Value::Number(number) => Some((name, vec![number.as_f64().unwrap()])),
                value => Some((name, serde_json::from_value(value.clone()).unwrap())),
            })
            .collect();
        assert!(
            state.keys().eq(expected.keys()),
            "{}: {:?} but {:?}",
            case.name,
            state.keys(),
            expected.keys()
        );
        let bound = if case.dtype == "f64" { 1e-12 } else { 1e-5 };
        for (name, expected) in expected {
            let worst = difference(&numbers(&state[&name]), &expected);
            assert!(worst <= bound, "{}: {name} differs by {worst:e}", case.name);
        }
    }
}

#[test]
fn state_taken_out_and_put_back_goes_on_to_the_same_bits() {
    let fixture = fixture();
    for case in fixture.cases.iter().filter(|case| case.dtype == "f32") {
        let (whole, _) = run(&fixture, case);
        let kind = Kind::Float;
        let make = |values: &BTreeMap<String, Vec<f64>>| -> Vec<Parameter> {
            let shape = |name: &String| fixture.params[name].shape.clone();
            let param = |(name, data): (&String, &Vec<f64>)| Parameter {
                name: name.clone(),
                tensor: tensor(data, &shape(name), kind).set_requires_grad(true),
            };
            values.iter().map(param).collect()
        };
        let step = |params: &[Parameter], optimizer: &mut Optimizer, at: usize| {
            for p in params {
                let grad =
                    fixture.grads[at][&p.name].as_ref().map(|data| tensor(data, &p.tensor.size(), kind));
                set_grad(&p.tensor, grad.as_ref()).unwrap();
            }
            optimizer.step().unwrap();
        };
        let mut params =
            make(&fixture.params.iter().map(|(name, p)| (name.clone(), p.data.clone())).collect());
        let mut optimizer = Optimizer::new(config(case), &params).unwrap();
        for at in 0..fixture.grads.len() {
            if at == 1 || at == 77 {
                let values = params.iter().map(|p| (p.name.clone(), numbers(&p.tensor))).collect();
                let (state, steps) = (optimizer.state(), optimizer.steps());
                let state: Vec<(String, Tensor)> =
                    state.into_iter().map(|(name, t)| (name, t.copy())).collect();
                params = make(&values);
                optimizer = Optimizer::new(config(case), &params).unwrap();
                optimizer.load_state(&state, steps).unwrap();
            }
            step(&params, &mut optimizer, at);
        }
        let last = *whole.keys().last().unwrap();
        for p in &params {
            assert_eq!(numbers(&p.tensor), whole[&last][&p.name], "{}: {}", case.name, p.name);
        }
    }
}

#[test]
fn a_gradient_laid_out_otherwise_than_its_parameter_is_taken_right() {
    for config in [OptimizerConfig::from(Sgd::new(0.1)), AdamW::new(0.1).into(), RAdam::new(0.1).into()] {
        let step = |grad: Tensor| {
            let w = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            set_grad(&w, Some(&grad)).unwrap();
            let params = [Parameter { name: "w".into(), tensor: w.shallow_clone() }];
            let mut optimizer = Optimizer::new(config.clone(), &params).unwrap();
            (0..8).for_each(|_| optimizer.step().unwrap());
            numbers(&w)
        };
        let grad = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([4, 3]).transpose(0, 1);
        assert!(!grad.is_contiguous());
        assert_eq!(step(grad.shallow_clone()), step(grad.contiguous()));
    }
}

#[test]
fn state_that_does_not_belong_is_refused_and_changes_nothing() {
    let params = [Parameter {
        name: "w".into(),
        tensor: Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true),
    }];
    let mut optimizer = Optimizer::new(Sgd::new(0.1).momentum(0.9), &params).unwrap();
    let tensor = |n: i64| Tensor::ones([n], (Kind::Float, Device::Cpu));
    for (state, text) in [
        (
            vec![("v.momentum_buffer".into(), tensor(3))],
            "optimizer state: `v.momentum_buffer` belongs to no parameter of this optimizer",
        ),
        (
            vec![("w.momentum_buffer".into(), tensor(2))],
            "optimizer state: `w.momentum_buffer` is Float of shape [2], but Float of shape [3] is needed",
        ),
    ] {
        assert_eq!(optimizer.load_state(&state, 7).unwrap_err().to_string(), text);
        assert!(optimizer.state().is_empty() && optimizer.steps() == 0);
    }
}

#[test]
fn the_first_matching_group_wins_and_the_rest_has_the_rules_settings() {
    let names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
    let params: Vec<Parameter> = names
        .iter()
        .map(|name| Parameter {
            name: (*name).into(),
            tensor: Tensor::zeros([2], (Kind::Float, Device::Cpu)),
        })
        .collect();
    let config = OptimizerConfig::from(AdamW::new(1e-3))
        .group(ParamGroup::new("fc1.*").lr(1e-4))
        .group(ParamGroup::new("*.bias").set("weight_decay", 0.0));
    let optimizer = Optimizer::new(config, &params).unwrap();
    let seen: Vec<(Option<&str>, &[String], f64, f64)> = optimizer
        .groups()
        .iter()
        .map(|g| (g.pattern(), g.names(), g.get("lr").unwrap(), g.get("weight_decay").unwrap()))
        .collect();
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(seen[0], (Some("fc1.*"), own(&["fc1.weight", "fc1.bias"]).as_slice(), 1e-4, 1e-2));
    assert_eq!(seen[1], (Some("*.bias"), own(&["fc2.bias"]).as_slice(), 1e-3, 0.0));
    assert_eq!(seen[2], (None, own(&["fc2.weight"]).as_slice(), 1e-3, 1e-2));
}
