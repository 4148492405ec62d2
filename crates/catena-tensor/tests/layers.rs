//! Typed layers against `torch.nn`: weights drawn, names, outputs, gradients and running statistics.
use std::collections::BTreeMap;

use catena_native::context::cpu_capability;
use catena_tensor::batch::Batch;
use catena_tensor::init::InitFrom;
use catena_tensor::layers::{Definition, Layers, record};
use catena_tensor::model::{Mode, Model, Net};
use catena_tensor::params::{parameters, state_dict};
use catena_tensor::rng::{Exclusive, manual_seed};
use serde::Deserialize;
use tch::{Device, Kind, Tensor, nn};

#[derive(Deserialize)]
struct Reference {
    cpu_capability: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    layer: serde_json::Value,
    parameters: Vec<String>,
    init: Tensors,
    state: Tensors,
    input: Numbers,
    probe: Numbers,
    train: Train,
    buffers: Tensors,
    eval: Numbers,
}

#[derive(Deserialize)]
struct Train {
    output: Numbers,
    input_grad: Option<Numbers>,
    grads: Tensors,
}

type Tensors = BTreeMap<String, Numbers>;

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<i64>,
    data: Vec<f64>,
    dtype: String,
}

impl Numbers {
    fn tensor(&self) -> Tensor {
        let kind = match self.dtype.as_str() {
            "f32" => Kind::Float,
            "f64" => Kind::Double,
            _ => Kind::Int64,
        };
        Tensor::from_slice(&self.data).to_kind(kind).reshape(&self.shape)
    }
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/layers.json")).unwrap()
}

fn cases() -> Vec<Case> {
    reference().cases
}

/// PyTorch counts batches in every batch norm, and uses the count only where `momentum` is none.
fn is_kept(case: &Case, name: &str) -> bool {
    let averages_all = case.layer.get("momentum").is_some_and(serde_json::Value::is_null);
    averages_all || !name.ends_with("num_batches_tracked")
}

/// The layer at the root, as PyTorch's module is, so that the names are equal; and its variables.
fn made(case: &Case, kind: Kind) -> (nn::VarStore, Layers) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    vs.set_kind(kind);
    let layers = match serde_json::from_value(case.layer.clone()).unwrap() {
        Definition::Sequential(sequential) => sequential.build(vs.root()),
        other => Layers::new().layer(vs.root(), other),
    };
    (vs, layers.unwrap())
}

fn close(got: &Tensor, expected: &Numbers, what: &str) {
    let expected = expected.tensor();
    assert_eq!(got.size(), expected.size(), "{what}");
    let difference = (got.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs();
    let most = if difference.numel() == 0 { 0.0 } else { difference.max().double_value(&[]) };
    assert!(most < 1e-11, "{what}: {most}");
}

#[test]
fn after_the_same_seed_the_weights_are_pytorchs_bit_for_bit() {
    let _held = Exclusive::wait();
    let Reference { cpu_capability: of_pytorch, cases } = reference();
    let same_kernels = cpu_capability().unwrap() == of_pytorch;
    for case in cases {
        manual_seed(7);
        let (vs, _layers) = made(&case, Kind::Float);
        let own = state_dict(&vs);
        let names: Vec<&String> = own.iter().map(|(name, _)| name).collect();
        let expected: Vec<&String> = case.init.keys().filter(|name| is_kept(&case, name)).collect();
        assert_eq!(names, expected, "{}", case.name);
        for (name, tensor) in &own {
            let expected = case.init[name].tensor();
            // libtorch draws normal numbers with the vectors that the CPU has, which can change their last bit
            let is_near = || tensor.allclose(&expected, 1e-6, 1e-6, false);
            assert!(*tensor == expected || !same_kernels && is_near(), "{}: {name}", case.name);
        }
    }
}

#[test]
fn parameters_stand_in_the_order_of_pytorchs() {
    let _held = Exclusive::wait();
    for case in cases() {
        let (vs, layers) = made(&case, Kind::Float);
        let names: Vec<String> = parameters(&vs).into_iter().map(|p| p.name).collect();
        assert_eq!(names, case.parameters, "{}", case.name);
        let told = layers.iter().flat_map(|layer| layer.variables()).filter(|v| v.is_parameter);
        assert_eq!(told.map(|v| v.name.clone()).collect::<Vec<_>>(), case.parameters, "{}", case.name);
    }
}

#[test]
fn outputs_gradients_and_running_statistics_are_pytorchs() {
    let _held = Exclusive::wait();
    for case in cases() {
        let (vs, layers) = made(&case, Kind::Double);
        let weights = case.state.iter().map(|(name, numbers)| (name.clone(), numbers.tensor()));
        if !vs.is_empty() {
            InitFrom::tensors(weights.collect()).strict().load(&vs).unwrap();
        }
        let input = case.input.tensor();
        let is_float = input.kind() == Kind::Double;
        let input = if is_float { input.set_requires_grad(true) } else { input };
        let name = |what: &str| format!("{}: {what}", case.name);

        manual_seed(11);
        let output = layers.forward(&input, Mode::Train).unwrap();
        close(&output, &case.train.output, &name("output"));
        if output.requires_grad() {
            (&output * case.probe.tensor()).sum(Kind::Double).backward();
        }
        if let Some(grad) = &case.train.input_grad {
            close(&input.grad(), grad, &name("gradient of the input"));
        }
        for parameter in parameters(&vs) {
            let what = name(&format!("gradient of {}", parameter.name));
            close(&parameter.tensor.grad(), &case.train.grads[&parameter.name], &what);
        }
        let _no_grad = tch::no_grad_guard();
        for times in [2.0, 3.0] {
            let more = if is_float { &input * times } else { input.shallow_clone() };
            let _output = layers.forward(&more, Mode::Train).unwrap();
        }
        let variables = vs.variables();
        for (buffer, expected) in case.buffers.iter().filter(|(buffer, _)| is_kept(&case, buffer)) {
            close(&variables[buffer], expected, &name(buffer));
        }
        close(&layers.forward(&input, Mode::Eval).unwrap(), &case.eval, &name("evaluation"));
    }
}

#[test]
fn every_definition_reads_as_it_is_written() {
    let _held = Exclusive::wait();
    for case in &cases() {
        let definition: Definition = serde_json::from_value(case.layer.clone()).unwrap();
        let written = serde_json::to_value(&definition).unwrap();
        assert_eq!(serde_json::from_value::<Definition>(written.clone()).unwrap(), definition);
        let (_, layers) = made(case, Kind::Float);
        if case.layer["name"] != "sequential" {
            assert_eq!(layers.iter().next().unwrap().settings(), written);
        }
        assert_eq!(written["name"], case.layer["name"]);
    }
}

#[test]
fn a_network_tells_its_layers_and_is_a_model_that_returns_errors() {
    let _held = Exclusive::wait();
    let case = cases().into_iter().find(|case| case.name == "a network").unwrap();
    let (vs, layers) = made(&case, Kind::Double);
    let mut net = Net::new(vs, layers);
    let batch = Batch::new([("input", case.input.tensor())]);
    let (outputs, seen) = record(|| net.forward(&batch, Mode::Eval));
    assert_eq!(outputs.unwrap().get("output").unwrap().size(), [3, 4]);
    let seen: Vec<(&str, &str)> = seen.iter().map(|o| (o.layer.as_str(), o.kind.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("0", "Conv2d"),
            ("1", "BatchNorm2d"),
            ("2", "ReLU"),
            ("block.conv", "Conv2d"),
            ("block.bn", "BatchNorm2d"),
            ("block.relu", "ReLU"),
            ("block", "Residual"),
            ("4", "MaxPool2d"),
            ("5", "Flatten"),
            ("6", "Dropout"),
            ("fc", "Linear")
        ]
    );
    let layers = net.layers().unwrap();
    assert_eq!(layers.get("block").unwrap().inner().unwrap().len(), 3);
    assert_eq!(layers.get("block.bn").unwrap().kind(), "BatchNorm2d");

    let small = Batch::new([("input", Tensor::zeros([1, 1, 4, 4], (Kind::Double, Device::Cpu)))]);
    let error = net.forward(&small, Mode::Eval).unwrap_err().to_string();
    let expected =
        "layer `fc` (Linear): the input has shape [1, 3], but its last dimension must be `in_features` (12)";
    assert_eq!(error, expected);
}
