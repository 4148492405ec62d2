//! Every loss has PyTorch's values and gradients, and counts what its mean is over: of each registered loss there is a case.
use std::collections::{BTreeMap, BTreeSet};

use catena_tensor::batch::{Batch, NamedTensors, Outputs};
use catena_tensor::fusing;
use catena_tensor::loss::{self, CrossEntropy, LossFn, Mse};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    loss: Value,
    tensors: BTreeMap<String, Numbers>,
    value: f64,
    grads: BTreeMap<String, Numbers>,
    each: Numbers,
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

impl Case {
    fn loss(&self) -> Box<dyn LossFn> {
        loss::from_value(self.loss.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What a model gives, with gradients to come, and the rest, as the batch.
    fn tensors(&self, floats: Kind) -> (Outputs, Batch) {
        let (mut outputs, mut others) = (Outputs::new(), NamedTensors::new());
        for (name, numbers) in &self.tensors {
            let tensor = numbers.tensor(floats);
            match self.grads.contains_key(name) {
                true => outputs.insert(name.clone(), tensor.set_requires_grad(true)),
                false => others.insert(name.clone(), tensor),
            };
        }
        (outputs, Batch::new(others))
    }
}

fn assert_near(got: &Tensor, expected: &Tensor, bound: f64, what: &str) {
    assert_eq!(got.size(), expected.size(), "{what}");
    let (got, expected) = (got.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let off = (got - &expected).abs().max().double_value(&[]);
    let size = expected.abs().max().double_value(&[]).max(1.0);
    assert!(off <= bound * size, "{what} is off by {off}, where the largest number is {size}");
}

#[test]
fn every_registered_loss_has_a_case_and_agrees_with_pytorch_fused_or_not() {
    let mut without_case: BTreeSet<&str> = loss::names().collect();
    for case in cases() {
        without_case.remove(case.loss["name"].as_str().unwrap());
        for (floats, bound) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            for fused in [false, true] {
                fusing::set(fused);
                let what = format!("{}, {floats:?}", case.name);
                let (outputs, batch) = case.tensors(floats);
                let value =
                    case.loss().loss(&outputs, &batch).unwrap_or_else(|error| panic!("{what}: {error}"));
                value.value.backward();
                assert_near(&value.value, &Tensor::from(case.value), bound, &what);
                for (name, grad) in &case.grads {
                    let got = outputs.get(name).unwrap().grad();
                    assert_near(
                        &got,
                        &grad.tensor(Kind::Double),
                        bound,
                        &format!("{what}: the gradient of {name}"),
                    );
                }
                let each = case.loss().unreduced(&outputs, &batch).unwrap();
                assert_near(&each, &case.each.tensor(Kind::Double), bound, &format!("{what}, one by one"));
            }
        }
    }
    let names: Vec<&str> = without_case.into_iter().collect();
    assert_eq!(names, [""; 0], "these losses have no case in fixtures/make_loss.py");
}

/// The dimension of samples, if micro-batches of the case can be cut out of its tensors.
fn samples(case: &Case, tensor: &str) -> Option<i64> {
    let dim = usize::from(case.loss["name"] == "ctc" && tensor == "output");
    case.tensors[tensor].shape.get(dim).map(|_| dim as i64)
}

/// How many samples a case has; none where its tensors don't have as many each.
fn len(case: &Case) -> Option<i64> {
    let sizes = case.tensors.keys().map(|name| Some(case.tensors[name].shape[samples(case, name)? as usize]));
    let sizes = sizes.collect::<Option<BTreeSet<i64>>>()?;
    if sizes.len() == 1 { sizes.first().copied() } else { None }
}

/// The samples of a case from `start` to `end`.
fn rows(case: &Case, start: i64, end: i64) -> (Outputs, Batch) {
    let (outputs, batch) = case.tensors(Kind::Double);
    let cut = |tensors: &NamedTensors| -> NamedTensors {
        let cut = |(name, tensor): (&str, &Tensor)| {
            (name.to_owned(), tensor.narrow(samples(case, name).unwrap(), start, end - start))
        };
        tensors.iter().map(cut).collect()
    };
    (cut(&outputs), Batch::new(cut(&batch.tensors)))
}

/// What depends on the whole batch, as their documentation says; and weights that are of rows.
fn is_of_the_whole_batch(case: &Case) -> bool {
    let name = case.loss["name"].as_str().unwrap();
    // unbatched, what looks like samples are classes
    ["info_nce", "nt_xent"].contains(&name)
        || case.loss["weight"][0].is_array()
        || case.name.contains(" one ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn micro_batches_of_any_sizes_accumulate_to_the_loss_of_all(
        mut cuts in proptest::collection::vec(0i64..=100, 0..4),
    ) {
        cuts.extend([0, 100]);
        cuts.sort_unstable();
        let mut tried = BTreeSet::new();
        for case in cases().iter().filter(|case| !is_of_the_whole_batch(case)) {
            let is_sum = case.loss["reduction"] == "sum";
            let (mut total, mut weights) = (0.0, 0.0);
            let Some(n) = len(case) else { continue };
            for ends in cuts.windows(2) {
                // each part begins where the one before it has ended
                let (start, end) = (ends[0] * n / 100, ends[1] * n / 100);
                if start == end {
                    continue;
                }
                let (outputs, batch) = rows(case, start, end);
                let loss = case.loss().loss(&outputs, &batch).unwrap();
                if loss.weight != 0.0 {
                    total += loss.value.double_value(&[]) * loss.weight;
                    weights += loss.weight;
                }
            }
            let union = if is_sum { total } else { total / weights };
            let off = (union - case.value).abs();
            prop_assert!(off <= 1e-12 * case.value.abs().max(1.0), "{}: {union}, the whole has {}", case.name, case.value);
            tried.insert(case.loss["name"].as_str().unwrap().to_owned());
        }
        let untried: Vec<&str> = loss::names().filter(|name| !tried.contains(*name)).collect();
        prop_assert_eq!(untried, ["info_nce", "nt_xent"]);
    }
}

#[test]
fn micro_batches_of_other_lengths_count_by_what_they_hold() {
    let logits = |shape: &[i64]| {
        Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, tch::Device::Cpu)).sin().reshape(shape)
    };
    let (long, short) = (logits(&[2, 3, 5]), logits(&[1, 3, 2]));
    let labels = |shape: &[i64]| Tensor::ones(shape, (Kind::Int64, tch::Device::Cpu));
    let of = |output: &Tensor, target: Tensor, loss: &mut dyn LossFn| {
        loss.loss(&Outputs::from(output.shallow_clone()), &Batch::new([("target", target)])).unwrap()
    };
    let flat =
        Tensor::cat(&[long.movedim_int(1, 2).reshape([10, 3]), short.movedim_int(1, 2).reshape([2, 3])], 0);
    let mut ce = CrossEntropy::new();
    let parts = [of(&long, labels(&[2, 5]), &mut ce), of(&short, labels(&[1, 2]), &mut ce)];
    let whole = of(&flat, labels(&[12]), &mut ce);
    let union = |parts: &[loss::Loss]| {
        let weights: f64 = parts.iter().map(|part| part.weight).sum();
        parts.iter().map(|part| part.value.double_value(&[]) * part.weight).sum::<f64>() / weights
    };
    assert_eq!([parts[0].weight, parts[1].weight, whole.weight], [10.0, 2.0, 12.0]);
    assert!((union(&parts) - whole.value.double_value(&[])).abs() < 1e-14);
    let mut mse = Mse::new();
    let parts = [of(&long, long.zeros_like(), &mut mse), of(&short, short.zeros_like(), &mut mse)];
    let whole = of(&flat, flat.zeros_like(), &mut mse);
    assert_eq!([parts[0].weight, parts[1].weight, whole.weight], [30.0, 6.0, 36.0]);
    assert!((union(&parts) - whole.value.double_value(&[])).abs() < 1e-14);
}

fn said(loss: Value, outputs: &[(&'static str, Tensor)], batch: &[(&'static str, Tensor)]) -> String {
    let named = |tensors: &[(&'static str, Tensor)]| {
        tensors.iter().map(|(name, tensor)| (*name, tensor.shallow_clone())).collect::<NamedTensors>()
    };
    let loss = loss::from_value(loss);
    let said =
        loss.map_err(Into::into).and_then(|mut loss| loss.loss(&named(outputs), &Batch::new(named(batch))));
    said.map_or_else(|error| error.to_string(), |loss| format!("taken: {}", loss.value.double_value(&[])))
}

#[test]
fn what_pytorch_refuses_is_refused_in_sentences() {
    let floats = |shape: &[i64]| Tensor::full(shape, 0.5, (Kind::Float, tch::Device::Cpu));
    let whole = |numbers: &[i64]| Tensor::from_slice(numbers);
    let out = |shape: &[i64]| [("output", floats(shape))];
    let two = |a: &[i64], b: &[i64]| [("input1", floats(a)), ("input2", floats(b))];
    let target = |tensor: Tensor| [("target", tensor)];
    let mut text = String::new();
    let mut tell = |loss: Value, outputs: &[(&'static str, Tensor)], batch: &[(&'static str, Tensor)]| {
        let said = said(loss.clone(), outputs, batch);
        assert!(!said.starts_with("taken") && !said.contains("libtorch"), "{loss}: {said}");
        text += &format!("{loss}\n    {said}\n");
    };
    for name in
        ["l1", "smooth_l1", "huber", "bce", "bce_with_logits", "kl_div", "soft_margin", "hinge_embedding"]
    {
        tell(json!({ "name": name }), &out(&[3, 1]), &target(floats(&[3])));
    }
    for name in
        ["poisson_nll", "multi_label_soft_margin", "sigmoid_focal", "soft_target_cross_entropy", "dice"]
    {
        tell(json!({ "name": name }), &out(&[3, 2]), &target(floats(&[3, 1])));
    }
    tell(
        json!({"name": "bce"}),
        &target(floats(&[2]) * 3.0).map(|(_, t)| ("output", t)),
        &target(floats(&[2])),
    );
    tell(json!({"name": "bce"}), &out(&[2]), &target(floats(&[2]) * -1.0));
    tell(json!({"name": "bce", "weight": [1, 2, 3]}), &out(&[4, 2]), &target(floats(&[4, 2])));
    tell(
        json!({"name": "bce_with_logits", "pos_weight": [1, 2, 3]}),
        &out(&[4, 2]),
        &target(floats(&[4, 2])),
    );
    for name in ["cross_entropy", "nll", "focal", "multi_margin", "distillation"] {
        let outputs = [("output", floats(&[2, 3])), ("teacher", floats(&[2, 3]))];
        tell(json!({ "name": name }), &outputs, &target(whole(&[0, 3])));
        tell(json!({ "name": name }), &outputs, &target(whole(&[0, -1])));
        tell(json!({ "name": name }), &outputs, &target(whole(&[0, 1, 2])));
        tell(json!({ "name": name }), &outputs, &target(floats(&[2])));
    }
    for name in ["cross_entropy", "nll", "focal", "multi_margin"] {
        tell(json!({"name": name, "weight": [1, 2]}), &out(&[2, 3]), &target(whole(&[0, 1])));
        tell(json!({"name": name, "weight": [1, -2, 1]}), &out(&[2, 3]), &target(whole(&[0, 1])));
        tell(json!({"name": name, "weight": [1, [2]]}), &out(&[2, 3]), &target(whole(&[0, 1])));
    }
    tell(json!({"name": "cross_entropy", "class_dim": 3}), &out(&[2, 3]), &target(whole(&[0, 1])));
    tell(json!({"name": "dice"}), &out(&[2, 3, 1]), &target(whole(&[0, 3]).view([2, 1])));
    tell(json!({"name": "dice", "sigmoid": true, "softmax": true}), &out(&[2, 3]), &target(floats(&[2, 3])));
    tell(json!({"name": "multi_margin", "p": 3}), &out(&[2, 3]), &target(whole(&[0, 1])));
    tell(json!({"name": "multi_label_margin"}), &out(&[1, 2]), &target(whole(&[2, -1]).view([1, 2])));
    tell(json!({"name": "multi_label_margin"}), &out(&[1, 2]), &target(floats(&[1, 2])));
    tell(json!({"name": "mse", "reduction": "none"}), &out(&[2]), &target(floats(&[2])));
    tell(json!({"name": "mse", "reduction": "batchmean"}), &out(&[2]), &target(floats(&[2])));
    tell(json!({"name": "sigmoid_focal", "alpha": 2}), &out(&[2]), &target(floats(&[2])));
    tell(json!({"name": "huber", "delta": 0}), &out(&[2]), &target(floats(&[2])));
    tell(json!({"name": "smooth_l1", "beta": -1}), &out(&[2]), &target(floats(&[2])));
    for name in ["cosine_embedding", "margin_ranking", "contrastive"] {
        tell(json!({ "name": name }), &two(&[2, 3], &[2, 1]), &target(floats(&[2])));
        tell(json!({ "name": name }), &two(&[2, 3], &[2, 3]), &target(floats(&[3])));
    }
    let three = [("anchor", floats(&[2, 3])), ("positive", floats(&[2, 3])), ("negative", floats(&[2]))];
    tell(json!({"name": "triplet_margin"}), &three, &[]);
    tell(json!({"name": "triplet_margin", "margin": 0}), &three, &[]);
    tell(json!({"name": "nt_xent"}), &two(&[2, 3], &[3, 3]), &[]);
    tell(json!({"name": "info_nce"}), &[("query", floats(&[2]))], &[]);
    for var in [floats(&[2, 3]) * -1.0, floats(&[3]), floats(&[1, 3])] {
        let outputs = [("output", floats(&[2, 3])), ("var", var)];
        tell(json!({"name": "gaussian_nll"}), &outputs, &target(floats(&[2, 3])));
    }
    let ctc = |targets: Tensor, inputs: &[i64], lengths: &[i64]| {
        [("target", targets), ("input_lengths", whole(inputs)), ("target_lengths", whole(lengths))]
    };
    for batch in [
        ctc(whole(&[1, 3]).view([2, 1]), &[4, 4], &[1, 1]),
        ctc(whole(&[1, 0]).view([2, 1]), &[4, 4], &[1, 1]),
        ctc(whole(&[1, 2]).view([2, 1]), &[4, 5], &[1, 1]),
        ctc(whole(&[1, 2]).view([2, 1]), &[4, 4], &[1, 2]),
        ctc(whole(&[1, 2]).view([2, 1]), &[4], &[1, 1]),
        ctc(whole(&[1, 2, 1]), &[4, 4], &[1, 1]),
        ctc(whole(&[1, 2, 1]).view([3, 1]), &[4, 4], &[1, 1]),
    ] {
        tell(json!({"name": "ctc"}), &out(&[4, 2, 3]), &batch);
    }
    tell(json!({"name": "ctc", "blank": 3}), &out(&[4, 2, 3]), &ctc(whole(&[1, 2]), &[4, 4], &[1, 1]));
    insta::assert_snapshot!(text);
}
