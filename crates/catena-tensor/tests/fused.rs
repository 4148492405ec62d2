//! Fused nodes have the bits of libtorch's own operations: values, gradients, draws of dropout.
use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::fusing;
use catena_tensor::layers::{
    Approximate, Dropout, Gelu, LayerNorm, Layers, Linear, Relu, Sequential, Sigmoid, Tanh, record,
};
use catena_tensor::loss::{CrossEntropy, LossFn};
use catena_tensor::model::Mode;
use catena_tensor::rng::{Exclusive, manual_seed};
use catena_tensor::tch::{Device, Kind, Tensor, nn, no_grad};
use proptest::prelude::*;

/// A stack of layers, described by small numbers, somewhere behind the first of which there is a linear one.
fn stack(choices: &[u8], bias: bool) -> Sequential {
    let mut width = 5;
    let net = choices.iter().fold(Sequential::new(), |net, choice| match choice % 12 {
        0 | 1 => {
            let from = width;
            width = i64::from(choice / 12 % 6) + 1;
            net.push(Linear::new(from, width).bias(bias || choice % 2 == 0))
        }
        2 => net.push(Relu),
        3 => net.push(Gelu::new()),
        4 => net.push(Gelu::new().approximate(Approximate::Tanh)),
        5 => net.push(Tanh),
        6 => net.push(Sigmoid),
        7 => net.push(Dropout::new(0.25)),
        // it does nothing
        8 | 9 => net.push(Dropout::new(0.0)),
        10 => net.push(Tanh),
        _ => net.push(LayerNorm::new([width])),
    });
    net.push(Linear::new(width, 3)).push(Tanh)
}

/// Everything that a forward and a backward pass give, as bits, and what the generator draws next.
fn passes(
    net: &Sequential,
    fused: bool,
    kind: Kind,
    shape: &[i64],
    train: bool,
    frozen: usize,
) -> Vec<Tensor> {
    fusing::set(fused);
    manual_seed(7);
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = net.build(vs.root()).unwrap();
    let mut params: Vec<Tensor> =
        layers.iter().flat_map(|layer| layer.variables()).map(|v| v.tensor.shallow_clone()).collect();
    no_grad(|| params.iter_mut().for_each(|param| drop(param.normal_(0.0, 0.7))));
    let mut vs = vs;
    if kind == Kind::Double {
        vs.double();
    }
    if let Some(param) = params.get_mut(frozen) {
        let _ = param.set_requires_grad(false);
    }
    let input = Tensor::randn(shape, (kind, Device::Cpu)).set_requires_grad(true);
    let mode = if train { Mode::Train } else { Mode::Eval };
    let before = input.detach().copy();
    let output = layers.forward(&input, mode).unwrap();
    assert!(input.detach().equal(&before), "the input is as it was: {net:?}");
    let next = Tensor::randn([4], (Kind::Float, Device::Cpu));
    (&output * &output).sum(kind).backward();
    fusing::set(true);
    let mut all = vec![output.detach(), next, input.grad()];
    all.extend(params.iter().map(|param| param.grad()));
    all
}

fn assert_equal_bits(one: &[Tensor], other: &[Tensor], what: &str) {
    assert_eq!(one.len(), other.len());
    for (i, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one.defined(), other.defined(), "{what}: tensor {i}");
        if one.defined() {
            assert_eq!(one.size(), other.size(), "{what}: tensor {i}");
            assert!(one.equal(other), "{what}: tensor {i} differs: {one:?} {other:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_stack_has_the_same_bits_as_one_node_and_as_several(
        choices in prop::collection::vec(any::<u8>(), 0..8),
        bias in any::<bool>(), double in any::<bool>(), deep in any::<bool>(), train in any::<bool>(),
        rows in 1..9i64, frozen in 0..12usize,
    ) {
        let _exclusive = Exclusive::wait();
        let net = stack(&choices, bias);
        let kind = if double { Kind::Double } else { Kind::Float };
        let shape = if deep { vec![2, rows, 5] } else { vec![rows, 5] };
        let fused = passes(&net, true, kind, &shape, train, frozen);
        let plain = passes(&net, false, kind, &shape, train, frozen);
        assert_equal_bits(&fused, &plain, &format!("{net:?} {kind:?} {shape:?} train {train}"));
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let _exclusive = Exclusive::wait();
    let net = stack(&[0, 2, 12, 3, 11, 5, 13, 6], true);
    manual_seed(3);
    let mut vs = nn::VarStore::new(Device::Cpu);
    let layers = net.build(vs.root()).unwrap();
    vs.double();
    let input = Tensor::randn([3, 5], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let value =
        |input: &Tensor| layers.forward(input, Mode::Eval).unwrap().pow_tensor_scalar(2).sum(Kind::Double);
    value(&input).backward();
    let (gradient, step) = (input.grad(), 1e-6);
    for at in 0..15 {
        let moved = |by: f64| {
            let moved = input.detach().copy();
            let _ = moved.view(-1).get(at).g_add_scalar_(by);
            no_grad(|| value(&moved).double_value(&[]))
        };
        let by_differences = (moved(step) - moved(-step)) / (2.0 * step);
        let own = gradient.view(-1).double_value(&[at]);
        assert!((own - by_differences).abs() < 1e-7 * own.abs().max(1.0), "{at}: {own} {by_differences}");
    }
}

fn small() -> (nn::VarStore, Layers) {
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = Sequential::new()
        .push(Linear::new(5, 5))
        .push(Relu)
        .push(Linear::new(5, 2))
        .build(vs.root())
        .unwrap();
    (vs, layers)
}

#[test]
fn a_run_is_recorded_layer_by_layer_and_its_faults_are_the_layers_own() {
    let _exclusive = Exclusive::wait();
    let (_vs, layers) = small();
    let input = Tensor::zeros([2, 5], (Kind::Float, Device::Cpu));
    let (output, outputs) = record(|| layers.forward(&input, Mode::Eval).unwrap());
    assert_eq!(outputs.len(), layers.len());
    assert!(output.equal(&layers.forward(&input, Mode::Eval).unwrap()));
    let wrong = layers.forward(&Tensor::zeros([2, 4], (Kind::Float, Device::Cpu)), Mode::Eval).unwrap_err();
    assert!(wrong.to_string().starts_with("layer `0` (Linear): the input has shape [2, 4]"), "{wrong}");
    // strides, an empty batch and half precision go the plain way
    let turned = Tensor::ones([5, 2], (Kind::Float, Device::Cpu)).tr();
    assert_eq!(layers.forward(&turned, Mode::Eval).unwrap().size(), [2, 2]);
    let none = Tensor::ones([0, 5], (Kind::Float, Device::Cpu));
    assert_eq!(layers.forward(&none, Mode::Eval).unwrap().size(), [0, 2]);
}

#[test]
fn a_second_derivative_is_a_sentence() {
    let _exclusive = Exclusive::wait();
    let (_vs, layers) = small();
    let input = Tensor::ones([2, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss = layers.forward(&input, Mode::Train).unwrap().sum(Kind::Float);
    let error = Tensor::f_run_backward(&[&loss], &[&input], true, true).unwrap_err().to_string();
    assert!(
        error.contains("a run of layers as one node has no second derivative; switch fusing off"),
        "{error}"
    );
    fusing::set(false);
    let loss = layers.forward(&input, Mode::Train).unwrap().sum(Kind::Float);
    let twice = Tensor::f_run_backward(&[&loss], &[&input], true, true);
    fusing::set(true);
    assert_eq!(twice.unwrap()[0].size(), [2, 5]);
}

#[test]
fn a_graph_can_be_kept_and_used_twice_and_is_gone_otherwise() {
    let _exclusive = Exclusive::wait();
    let (_vs, layers) = small();
    let input = Tensor::ones([2, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss = layers.forward(&input, Mode::Train).unwrap().sum(Kind::Float);
    let once = Tensor::f_run_backward(&[&loss], &[&input], true, false).unwrap();
    let again = Tensor::f_run_backward(&[&loss], &[&input], false, false).unwrap();
    assert!(once[0].equal(&again[0]));
    let gone = Tensor::f_run_backward(&[&loss], &[&input], false, false).unwrap_err().to_string();
    assert!(gone.contains("second time"), "{gone}");
}

#[test]
fn a_parameter_that_is_changed_before_the_backward_pass_is_an_error_as_in_torch() {
    let _exclusive = Exclusive::wait();
    let (vs, layers) = small();
    let input = Tensor::ones([2, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let loss = layers.forward(&input, Mode::Train).unwrap().sum(Kind::Float);
    no_grad(|| drop(vs.variables()["2.weight"].shallow_clone().fill_(1.0)));
    let error = Tensor::f_run_backward(&[&loss], &[&input], false, false).unwrap_err().to_string();
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

#[test]
fn a_dropout_that_does_nothing_leaves_inputs_and_kept_outputs_alone() {
    let _exclusive = Exclusive::wait();
    let nothing = || Dropout::new(0.0);
    for net in [
        Sequential::new().push(nothing()).push(Relu).push(Linear::new(5, 2)),
        Sequential::new().push(Linear::new(5, 5)).push(Tanh).push(nothing()).push(Relu),
        Sequential::new().push(Linear::new(5, 5)).push(Sigmoid).push(nothing()).push(Dropout::new(0.5)),
        Sequential::new().push(Linear::new(5, 5)).push(Tanh).push(nothing()),
    ] {
        let [fused, plain] = [true, false].map(|on| passes(&net, on, Kind::Float, &[4, 5], true, 99));
        assert_equal_bits(&fused, &plain, &format!("{net:?}"));
    }
}

/// Bytes of this process's memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[test]
fn an_output_that_nobody_goes_back_from_is_given_back() {
    let _exclusive = Exclusive::wait();
    let vs = nn::VarStore::new(Device::Cpu);
    let net = Sequential::new().push(Linear::new(8, 1024)).push(Tanh).push(Dropout::new(0.0));
    let layers = net.build(vs.root()).unwrap();
    let input = Tensor::zeros([256, 8], (Kind::Float, Device::Cpu));
    let forward = |n: usize| (0..n).for_each(|_| drop(layers.forward(&input, Mode::Train).unwrap()));
    forward(20);
    let before = resident();
    // a mebibyte each
    forward(400);
    assert!(resident() < before + (100 << 20), "{} before, {} now", before, resident());
}

#[test]
fn the_loss_of_labels_has_the_same_bits_as_one_node() {
    let _exclusive = Exclusive::wait();
    for (n, classes, ignored) in
        [(1i64, 2i64, None), (7, 3, None), (64, 10, Some(3)), (300, 17, Some(-1)), (5, 1, None)]
    {
        for kind in [Kind::Float, Kind::Double] {
            let all = [true, false].map(|fused| {
                fusing::set(fused);
                manual_seed(n.unsigned_abs());
                let logits = (Tensor::randn([n, classes], (kind, Device::Cpu)) * 3).set_requires_grad(true);
                let labels = Tensor::randint(classes, [n], (Kind::Int64, Device::Cpu));
                if ignored == Some(-1) {
                    let _ = labels.narrow(0, 0, n / 2).fill_(-1);
                }
                let mut loss = CrossEntropy::new();
                if let Some(label) = ignored {
                    loss = loss.ignore_index(label);
                }
                let outputs = Outputs::from(logits.shallow_clone());
                let value =
                    loss.loss(&outputs, &Batch::new([("target", labels.shallow_clone())])).unwrap().value;
                (&value * 0.5).backward();
                fusing::set(true);
                drop(labels);
                [value.detach(), logits.grad()]
            });
            assert_equal_bits(&all[0], &all[1], &format!("{n} {classes} {ignored:?} {kind:?}"));
        }
    }
}
