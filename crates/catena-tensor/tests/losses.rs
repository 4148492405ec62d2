//! Every loss has PyTorch's values and gradients: of each registered loss there is a case.
use std::collections::BTreeSet;

use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::fusing;
use catena_tensor::loss::{self, LossFn};
use serde::Deserialize;
use serde_json::Value;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: Value,
    output: Numbers,
    target: Numbers,
    value: f64,
    grad: Numbers,
}

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<i64>,
    data: Vec<f64>,
    dtype: String,
}

impl Numbers {
    fn tensor(&self, floats: Kind) -> Tensor {
        let kind = if self.dtype == "i64" { Kind::Int64 } else { floats };
        Tensor::from_slice(&self.data).reshape(&self.shape).to_kind(kind)
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixture>(include_str!("fixtures/loss.json")).unwrap().cases
}

/// The value, and the gradient at the output, brought to f64.
fn run(case: &Case, floats: Kind) -> (f64, Tensor) {
    let mut loss = loss::from_value(case.loss.clone()).unwrap();
    let output = case.output.tensor(floats).set_requires_grad(true);
    let batch = Batch::new([("target", case.target.tensor(floats))]);
    let outputs = Outputs::from(output.shallow_clone());
    let value = loss.loss(&outputs, &batch).unwrap_or_else(|error| panic!("{}: {error}", case.name)).value;
    value.backward();
    (value.double_value(&[]), output.grad().to_kind(Kind::Double))
}

#[test]
fn every_registered_loss_has_a_case_and_agrees_with_pytorch_fused_or_not() {
    let mut without_case: BTreeSet<&str> = loss::names().collect();
    for case in cases() {
        without_case.remove(case.loss["name"].as_str().unwrap());
        for (floats, bound) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            for fused in [false, true] {
                fusing::set(fused);
                let (value, grad) = run(&case, floats);
                let expected = case.grad.tensor(Kind::Double);
                let (name, size) = (&case.name, case.value.abs().max(1.0));
                let off = (value - case.value).abs();
                assert!(off <= bound * size, "{name}, {floats:?}: {value}, torch has {}", case.value);
                let off = (grad - &expected).abs().max().double_value(&[]);
                let size = expected.abs().max().double_value(&[]).max(1.0);
                assert!(off <= bound * size, "{name}, {floats:?}: a gradient is off by {off}");
            }
        }
    }
    let names: Vec<&str> = without_case.into_iter().collect();
    assert_eq!(names, [""; 0], "these losses have no case in fixtures/make_loss.py");
}
