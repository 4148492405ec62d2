//! Names, recordings, and modules of tch among layers.
use tch::nn::{self, ModuleT, Path};
use tch::{Device, Kind, Tensor};

use super::*;

fn ones(shape: &[i64]) -> Tensor {
    Tensor::ones(shape, (Kind::Float, Device::Cpu))
}

#[test]
fn named_layers_compute_what_a_sequence_of_tch_computes() {
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = Layers::new()
        .add(vs.root() / "fc", |p| nn::linear(p, 3, 4, Default::default()))
        .add_fn("relu", Tensor::relu)
        .add_fn_t("half", |x, train| if train { x * 0.5 } else { x.shallow_clone() });
    let variables = vs.variables();
    let (weight, bias) = (&variables["fc.weight"], &variables["fc.bias"]);
    let relu = ones(&[2, 3]).linear(weight, Some(bias)).relu();
    for (train, expected) in [(true, &relu * 0.5), (false, relu)] {
        let x = layers.forward_t(&ones(&[2, 3]), train);
        assert_eq!(x, expected);
    }
    assert_eq!(Layers::new().forward_t(&ones(&[2]), true), ones(&[2]));
}

#[test]
fn nothing_is_kept_where_nobody_asks() {
    let layers = Layers::new().add_fn("same", Tensor::shallow_clone);
    let _ = layers.forward_t(&ones(&[1]), true);
    assert!(!is_recording());
    let (_, outputs) = record(|| layers.forward_t(&ones(&[1]), true));
    assert_eq!(outputs.len(), 1);
    let _ = layers.forward_t(&ones(&[1]), true);
    assert!(!is_recording(), "the recording has ended");
}

#[test]
fn a_recording_ends_with_a_panic_too_and_one_within_another_has_its_own() {
    let layers = Layers::new().add_fn("same", Tensor::shallow_clone);
    let forward = || layers.forward_t(&ones(&[1]), true);
    let panics = || record(|| forward().view([7]));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert!(!is_recording(), "the recording has ended");
    let (inner, outer) = record(|| {
        let _first = forward();
        let (_, inner) = record(forward);
        let _last = forward();
        inner
    });
    assert_eq!((inner.len(), outer.len()), (1, 2));
}

#[test]
fn closures_of_one_name_are_numbered() {
    let relu = |layers: Layers| layers.add_fn("relu", Tensor::relu);
    let (_, outputs) = record(|| relu(relu(relu(Layers::new()))).forward_t(&ones(&[1]), true));
    assert_eq!(outputs.iter().map(|o| o.layer.as_str()).collect::<Vec<_>>(), ["relu", "relu_2", "relu_3"]);
}

#[test]
fn a_layer_in_a_layer_is_told_before_it() {
    let vs = nn::VarStore::new(Device::Cpu);
    let block = |p: Path<'_>| {
        Layers::new().add(&p / "fc", |p| nn::linear(p, 3, 5, Default::default())).add_fn("act", Tensor::tanh)
    };
    let model = Layers::new().add(vs.root() / "block", block);
    let (_, outputs) = record(|| model.forward_t(&ones(&[2, 3]), true));
    let seen: Vec<(&str, &str)> = outputs.iter().map(|o| (o.layer.as_str(), o.kind.as_str())).collect();
    assert_eq!(seen, [("block.fc", "Linear"), ("act", ""), ("block", "Layers")]);
}

#[test]
fn names_that_are_taken_or_can_not_be_are_refused() {
    let vs = nn::VarStore::new(Device::Cpu);
    let says = |layers: crate::Result<Layers>| layers.unwrap_err().to_string();
    let fc = || Linear::new(3, 3);
    let first = Layers::new().layer(vs.root() / "fc", fc()).unwrap();
    assert_eq!(
        says(first.layer(vs.root() / "fc", Relu)),
        "layer `fc` (ReLU): another layer has this name already"
    );
    // tch would call it `fc.weight__2`, and no file would have its weights
    assert_eq!(
        says(Layers::new().layer(vs.root() / "fc", fc())),
        "layer `fc` (Linear): the variable store has a tensor `fc.weight` already; give the layer another name or path"
    );
    let twice = Sequential::new().add("a", Relu).add("a", fc());
    assert_eq!(
        says(twice.build(vs.root() / "net")),
        "layer `net` (Sequential): two layers are named `a`; give each a name of its own"
    );
    let within = Sequential::new().add("block", Residual::new(Sequential::new().push(Dropout::new(2.0))));
    assert_eq!(says(within.build(vs.root())), "layer `block.0` (Dropout): `p` is 2.0, but must be in [0, 1]");
    assert_eq!(vs.len(), 2, "nothing but the first layer's was made");
}

#[test]
fn a_panic_in_a_module_of_tch_or_a_closure_is_an_error_with_the_layers_name() {
    let vs = nn::VarStore::new(Device::Cpu);
    let block = |p: Path<'_>| Layers::new().add(&p / "fc", |p| nn::linear(p, 3, 5, Default::default()));
    let layers = Layers::new()
        .add_fn("double", |x| x * 2)
        .add(vs.root() / "block", block)
        .add_fn("rows", |x| x.view([7, 5]));
    let says =
        |shape: &[i64]| layers.forward(&ones(shape), crate::model::Mode::Eval).unwrap_err().to_string();
    assert_eq!(
        says(&[2, 4]),
        "layer `block.fc` (Linear): an input of shape [2, 4] and dtype Float ended in: libtorch: mat1 and mat2 shapes cannot be \
         multiplied (2x4 and 3x5)"
    );
    assert_eq!(
        says(&[2, 3]),
        "layer `rows`: an input of shape [2, 5] and dtype Float ended in: libtorch: shape '[7, 5]' is invalid for input of size 10"
    );
}

#[test]
fn layers_of_half_precision_and_of_another_device_follow_their_var_store() {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let net = Sequential::new().push(Linear::new(3, 4)).push(BatchNorm1d::new(4));
    let layers = net.build(vs.root()).unwrap();
    vs.bfloat16();
    let x = ones(&[2, 3]).to_kind(Kind::BFloat16);
    let output = layers.forward(&x, crate::model::Mode::Train).unwrap();
    assert_eq!(output.kind(), Kind::BFloat16);
}
