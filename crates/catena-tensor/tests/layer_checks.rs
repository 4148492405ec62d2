//! What PyTorch checks in Python and libtorch does not, and all else that it refuses: where catena checks it, each line tried by code.
//!
//! The snapshot is the table. `PyTorch` says what `fixtures/make_layers.py` heard, and whether Python or libtorch said it; `catena` is
//! our sentence, or libtorch's where it is good enough.
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use catena_tensor::batch::{Batch, Outputs};
use catena_tensor::layers::{Definition, Layers, Named};
use catena_tensor::loss::{self, CrossEntropy, LossFn, Mse};
use catena_tensor::model::Mode;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tch::nn::{self, ModuleT};
use tch::{Device, Kind, Tensor};

#[derive(Deserialize)]
struct Reference {
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    layer: Value,
    input: Option<Input>,
    fill: i64,
    train: bool,
    torch: Option<String>,
    #[serde(rename = "where")]
    said_by: Option<String>,
}

#[derive(Deserialize)]
struct Input {
    shape: Vec<i64>,
    dtype: String,
}

fn reference() -> Vec<Refused> {
    serde_json::from_str::<Reference>(include_str!("fixtures/layers.json")).unwrap().refused
}

fn full(shape: &[i64], value: i64, kind: Kind) -> Tensor {
    Tensor::full(shape, value, (kind, Device::Cpu))
}

fn mode(train: bool) -> Mode {
    if train { Mode::Train } else { Mode::Eval }
}

/// What catena says to a layer or its input.
fn says(case: &Refused) -> Option<String> {
    let definition: Definition = serde_json::from_value(case.layer.clone()).unwrap();
    let vs = nn::VarStore::new(Device::Cpu);
    let made = Layers::new().layer(vs.root() / "it", definition);
    let said = made.and_then(|layers| match &case.input {
        None => Ok(()),
        Some(input) => {
            let kind = match input.dtype.as_str() {
                "f32" => Kind::Float,
                "f64" => Kind::Double,
                _ => Kind::Int64,
            };
            layers.forward(&full(&input.shape, case.fill, kind), mode(case.train)).map(drop)
        }
    });
    said.err().map(|error| error.to_string())
}

#[test]
fn what_pytorch_refuses_of_a_layer_is_refused_with_its_name() {
    let mut table = String::new();
    for case in reference() {
        let said = says(&case);
        let text = said.as_deref().unwrap_or("takes it");
        if let Some(torch) = &case.torch {
            assert!(text.starts_with("layer `it"), "{}: PyTorch says {torch}, catena {text}", case.layer);
            let by_libtorch_alone = text.contains("libtorch: ");
            let python_said_it = case.said_by.as_deref() == Some("python");
            assert!(!(by_libtorch_alone && python_said_it), "{}: no check of ours: {text}", case.layer);
        }
        let input = case.input.as_ref().map_or(String::new(), |i| format!(" {:?} {}", i.shape, i.dtype));
        let evaluated = if case.train { "" } else { ", in evaluation" };
        let torch = match (&case.torch, &case.said_by) {
            (Some(text), Some(by)) => format!("{by}: {text}"),
            _ => "takes it".to_owned(),
        };
        let home = match &said {
            None => String::new(),
            Some(text) if text.contains("libtorch: ") => format!("{Libtorch:?}: "),
            Some(_) => format!("{Ours:?}: "),
        };
        writeln!(table, "{}{input}{evaluated}\n  PyTorch  {torch}\n  catena   {home}{text}", case.layer)
            .unwrap();
    }
    insta::assert_snapshot!("what_pytorch_refuses_of_layers", table);
}

/// One value a channel, or a group, in training: of all that PyTorch refuses in Python, what would pass libtorch as a wrong number.
#[test]
fn libtorch_alone_makes_nan_or_zeros_of_what_python_refuses() {
    let vs = nn::VarStore::new(Device::Cpu);
    let bn = nn::batch_norm1d(vs.root() / "bn", 4, Default::default());
    let _output = bn.forward_t(&full(&[1, 4], 1, Kind::Float), true);
    assert!(bn.running_var.isnan().any().int64_value(&[]) == 1, "the fault that is guarded against");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// A sentence of catena's.
    Ours,
    /// libtorch refuses it, and its text is passed on with the layer's name.
    Libtorch,
    /// It is not seen here, but makes a buffer NaN, which a runner finds at the loader's end.
    LoadersEnd,
    /// Nobody can: it is computed, and PyTorch would have refused.
    Nobody,
}
use Home::{Libtorch, LoadersEnd, Nobody, Ours};

fn of_module<M: ModuleT + 'static>(
    module: impl Fn(nn::Path<'_>) -> M,
    input: Tensor,
    train: bool,
) -> Result<String, String> {
    let vs = nn::VarStore::new(Device::Cpu);
    let named = Named::new(vs.root() / "it", &module);
    let by_name = named.forward(&input, mode(train)).map_err(|error| error.to_string());
    let vs = nn::VarStore::new(Device::Cpu);
    let layers = Layers::new().add(vs.root() / "it", &module);
    let by_layers = layers.forward(&input, mode(train)).map_err(|error| error.to_string());
    assert_eq!(by_name.as_ref().err(), by_layers.as_ref().err(), "both look at the same");
    // where tch asks for a tensor, the same words come as a panic
    let panics = catch_unwind(AssertUnwindSafe(|| named.forward_t(&input, train))).err();
    assert_eq!(panics.is_some(), by_name.is_err());
    by_name.map(|output| format!("{:?}", output.size()))
}

fn of_closure(f: impl Fn(&Tensor) -> Tensor + Send + 'static, input: Tensor) -> Result<String, String> {
    let layers = Layers::new().add_fn("it", f);
    layers.forward(&input, Mode::Train).map(|o| format!("{:?}", o.size())).map_err(|e| e.to_string())
}

/// A check of PyTorch's, where it has its home, and code that tries it.
type Check = (&'static str, Home, fn() -> Result<String, String>);

/// tch's own modules and functions, used through `Layers::add`, `Named` and `add_fn`.
const MODULES: &[Check] = &[
    ("batch_norm1d: one value a channel in training", Ours, || {
        of_module(|p| nn::batch_norm1d(p, 4, Default::default()), full(&[1, 4], 1, Kind::Float), true)
    }),
    ("batch_norm1d: one value a channel, with a length", Ours, || {
        of_module(|p| nn::batch_norm1d(p, 4, Default::default()), full(&[1, 4, 1], 1, Kind::Float), true)
    }),
    ("batch_norm2d: one value a channel in training", Ours, || {
        of_module(|p| nn::batch_norm2d(p, 4, Default::default()), full(&[1, 4, 1, 1], 1, Kind::Float), true)
    }),
    ("batch_norm2d: dimensions", Libtorch, || {
        of_module(|p| nn::batch_norm2d(p, 4, Default::default()), full(&[2, 4, 1], 1, Kind::Float), true)
    }),
    ("batch_norm1d: num_features", Libtorch, || {
        of_module(|p| nn::batch_norm1d(p, 4, Default::default()), full(&[2, 5], 1, Kind::Float), true)
    }),
    ("batch_norm within nn::seq_t: one value a channel", LoadersEnd, || {
        let inner = |p: nn::Path<'_>| nn::seq_t().add(nn::batch_norm1d(p, 4, Default::default()));
        of_module(inner, full(&[1, 4], 1, Kind::Float), true)
    }),
    ("group_norm: one value a group", Ours, || {
        of_module(|p| nn::group_norm(p, 4, 4, Default::default()), full(&[1, 4], 1, Kind::Float), false)
    }),
    ("group_norm: num_channels is no multiple of num_groups", Libtorch, || {
        of_module(|p| nn::group_norm(p, 3, 4, Default::default()), full(&[2, 4, 3], 1, Kind::Float), false)
    }),
    ("group_norm: dimensions", Libtorch, || {
        of_module(|p| nn::group_norm(p, 2, 4, Default::default()), full(&[4], 1, Kind::Float), false)
    }),
    ("layer_norm: normalized_shape", Libtorch, || {
        of_module(|p| nn::layer_norm(p, vec![4], Default::default()), full(&[2, 5], 1, Kind::Float), false)
    }),
    ("embedding: a number out of range", Ours, || {
        of_module(|p| nn::embedding(p, 5, 3, Default::default()), full(&[2], 5, Kind::Int64), false)
    }),
    ("embedding: a number below 0", Ours, || {
        of_module(|p| nn::embedding(p, 5, 3, Default::default()), full(&[2], -1, Kind::Int64), false)
    }),
    ("embedding: dtype", Ours, || {
        of_module(|p| nn::embedding(p, 5, 3, Default::default()), full(&[2], 1, Kind::Float), false)
    }),
    ("embedding: padding_idx within num_embeddings", Nobody, || {
        let config = nn::EmbeddingConfig { padding_idx: 7, ..Default::default() };
        of_module(move |p| nn::embedding(p, 5, 3, config), full(&[2], 1, Kind::Int64), false)
    }),
    ("linear: in_features", Libtorch, || {
        of_module(|p| nn::linear(p, 4, 2, Default::default()), full(&[2, 5], 1, Kind::Float), false)
    }),
    ("linear: dtype", Libtorch, || {
        of_module(|p| nn::linear(p, 4, 2, Default::default()), full(&[2, 4], 1, Kind::Int64), false)
    }),
    ("conv2d: in_channels", Libtorch, || {
        of_module(|p| nn::conv2d(p, 1, 2, 3, Default::default()), full(&[2, 3, 5, 5], 1, Kind::Float), false)
    }),
    ("conv2d: a kernel greater than the image", Libtorch, || {
        of_module(|p| nn::conv2d(p, 1, 2, 3, Default::default()), full(&[2, 1, 2, 5], 1, Kind::Float), false)
    }),
    ("conv2d: in_channels is no multiple of groups", Libtorch, || {
        let config = nn::ConvConfig { groups: 2, ..Default::default() };
        of_module(move |p| nn::conv2d(p, 3, 2, 3, config), full(&[2, 3, 5, 5], 1, Kind::Float), false)
    }),
    ("dropout: p in [0, 1]", Libtorch, || of_closure(|x| x.dropout(1.5, true), full(&[2], 1, Kind::Float))),
    ("instance_norm: one value a channel of a sample", Nobody, || {
        let norm = |x: &Tensor| x.instance_norm::<Tensor>(None, None, None, None, true, 0.1, 1e-5, true);
        of_closure(norm, full(&[2, 3, 1], 1, Kind::Float))
    }),
    ("max_pool2d: padding at most half of the kernel", Libtorch, || {
        of_closure(|x| x.max_pool2d(2, 2, 2, 1, false), full(&[1, 1, 4, 4], 1, Kind::Float))
    }),
    ("avg_pool2d: padding at most half of the kernel", Libtorch, || {
        let pool = |x: &Tensor| x.avg_pool2d(2, 2, 2, false, true, None);
        of_closure(pool, full(&[1, 1, 4, 4], 1, Kind::Float))
    }),
    ("gelu: approximate", Libtorch, || of_closure(|x| x.gelu("fast"), full(&[2], 1, Kind::Float))),
];

fn of_loss(mut loss: impl LossFn, output: Tensor, target: Tensor) -> Result<String, String> {
    let (outputs, batch) = (Outputs::from(output), Batch::new([("target", target)]));
    let checked = loss.check().map_err(Into::into).and_then(|()| loss.loss(&outputs, &batch));
    checked.map(|loss| loss.value.double_value(&[]).to_string()).map_err(|error| error.to_string())
}

fn logits(shape: &[i64]) -> Tensor {
    full(shape, 0, Kind::Float)
}

/// Losses: PyTorch warns of the first, and takes some others.
const LOSSES: &[Check] = &[
    ("mse: [n, 1] with [n]", Ours, || of_loss(Mse::new(), logits(&[3, 1]), logits(&[3]))),
    ("mse: [n] with [1]", Ours, || of_loss(Mse::new(), logits(&[3]), logits(&[1]))),
    ("mse: an output of whole numbers", Ours, || {
        of_loss(Mse::new(), full(&[3], 1, Kind::Int64), full(&[3], 1, Kind::Int64))
    }),
    ("cross_entropy: a label too great", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2], 3, Kind::Int64))
    }),
    ("cross_entropy: a label below 0", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2], -1, Kind::Int64))
    }),
    ("cross_entropy: a label below 0, smoothed", Ours, || {
        of_loss(CrossEntropy::new().label_smoothing(0.1), logits(&[2, 3]), full(&[2], -1, Kind::Int64))
    }),
    ("cross_entropy: a label too great, of images", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3, 4, 4]), full(&[2, 4, 4], 3, Kind::Int64))
    }),
    ("cross_entropy: a label too great, of dtype Uint8", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2], 255, Kind::Uint8))
    }),
    ("cross_entropy: labels of another length", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[3], 1, Kind::Int64))
    }),
    ("cross_entropy: labels in a column", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2, 1], 1, Kind::Int64))
    }),
    ("cross_entropy: labels of floating point numbers", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2], 1, Kind::Float))
    }),
    ("cross_entropy: class probabilities of whole numbers", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[2, 3]), full(&[2, 3], 1, Kind::Int64))
    }),
    ("cross_entropy: a label to ignore among class probabilities", Ours, || {
        of_loss(CrossEntropy::new().ignore_index(-100), logits(&[2, 3]), full(&[2, 3], 1, Kind::Float))
    }),
    ("cross_entropy: one logit a sample, and a floating point target", Ours, || {
        of_loss(CrossEntropy::new(), logits(&[3]), full(&[3], 1, Kind::Float))
    }),
    ("cross_entropy: logits of whole numbers", Ours, || {
        of_loss(CrossEntropy::new(), full(&[2, 3], 1, Kind::Int64), full(&[2], 1, Kind::Int64))
    }),
    ("cross_entropy: label_smoothing in [0, 1]", Ours, || {
        of_loss(CrossEntropy::new().label_smoothing(2.0), logits(&[2, 3]), full(&[2], 1, Kind::Int64))
    }),
    ("cross_entropy: label_smoothing is a number", Ours, || {
        of_loss(CrossEntropy::new().label_smoothing(f64::NAN), logits(&[2, 3]), full(&[2], 1, Kind::Int64))
    }),
    ("a closure: a loss of more than one number", Ours, || {
        let loss = loss::from_fn("L1", |outputs, batch| {
            Ok(outputs.get("output")?.f_sub(batch.get("target")?)?.f_abs()?)
        });
        of_loss(loss, logits(&[3]), logits(&[3]))
    }),
];

fn table(checks: &[Check]) -> String {
    let mut table = String::new();
    for (check, home, tried) in checks {
        let said = tried();
        let text = said.clone().unwrap_or_else(|why| why);
        match home {
            Ours => assert!(said.is_err() && !text.contains("libtorch: "), "{check}: {text}"),
            Libtorch => assert!(said.is_err() && text.contains("layer `it"), "{check}: {text}"),
            LoadersEnd | Nobody => assert!(said.is_ok(), "{check} has a home: {text}"),
        }
        writeln!(table, "{check}\n  {home:?}: {text}").unwrap();
    }
    table
}

#[test]
fn each_check_of_tchs_modules_has_its_home() {
    insta::assert_snapshot!("checks_of_tchs_modules", table(MODULES));
}

#[test]
fn each_check_of_a_loss_is_ours() {
    insta::assert_snapshot!("checks_of_losses", table(LOSSES));
}

#[test]
fn labels_of_any_whole_dtype_give_the_same_loss_and_weight() {
    let labels = [0i64, 2, 1, 2];
    let outputs = Outputs::from(Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([4, 3]).sin());
    let expected = {
        let batch = Batch::new([("target", Tensor::from_slice(&labels))]);
        CrossEntropy::new().ignore_index(1).loss(&outputs, &batch).unwrap()
    };
    for kind in [Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64] {
        let batch = Batch::new([("target", Tensor::from_slice(&labels).to_kind(kind))]);
        let loss = CrossEntropy::new().ignore_index(1).loss(&outputs, &batch).unwrap();
        assert_eq!((loss.value, loss.weight), (expected.value.shallow_clone(), 3.0), "{kind:?}");
    }
    let one_hot = Tensor::from_slice(&labels).one_hot(3).to_kind(Kind::Float);
    let of = |target| CrossEntropy::new().loss(&outputs, &Batch::new([("target", target)])).unwrap();
    let difference = of(one_hot).value - of(Tensor::from_slice(&labels)).value;
    assert!(difference.abs().double_value(&[]) < 1e-6);
}

/// Any layer with settings out of a small range, most of which can't be.
fn any_layer() -> impl Strategy<Value = Value> {
    let n = || -1i64..5;
    let norm = ("[12]d", n(), any::<[bool; 2]>());
    prop_oneof![
        1 => (n(), n(), n(), n(), n(), n(), n()).prop_map(|(i, o, k, s, p, d, g)| serde_json::json!({
            "name": "conv1d", "in_channels": i, "out_channels": o, "kernel_size": k, "stride": s, "padding": [p], "dilation": d, "groups": g,
        })),
        1 => (n(), n(), [n(), n()], n(), [n(), n()]).prop_map(|(i, o, k, g, p)| serde_json::json!({
            "name": "conv2d", "in_channels": i, "out_channels": o, "kernel_size": k, "groups": g, "padding": p, "padding_mode": "reflect",
        })),
        4 => norm.clone().prop_map(|(d, c, [a, t])| serde_json::json!({
            "name": format!("batch_norm{d}"), "num_features": c, "affine": a, "track_running_stats": t,
        })),
        4 => norm.prop_map(|(d, c, [a, t])| serde_json::json!({
            "name": format!("instance_norm{d}"), "num_features": c, "affine": a, "track_running_stats": t,
        })),
        1 => (n(), n()).prop_map(|(g, c)| serde_json::json!({"name": "group_norm", "num_groups": g, "num_channels": c})),
        1 => proptest::collection::vec(n(), 0..3)
            .prop_map(|shape| serde_json::json!({"name": "layer_norm", "normalized_shape": shape})),
        1 => ([n(), n()], [n(), n()], [n(), n()]).prop_map(|(k, p, d)| serde_json::json!({
            "name": "max_pool2d", "kernel_size": k, "padding": p, "dilation": d,
        })),
        1 => ([n(), n()], [n(), n()], n()).prop_map(|(k, p, d)| serde_json::json!({
            "name": "avg_pool2d", "kernel_size": k, "padding": p, "divisor_override": d,
        })),
        1 => [n(), n()].prop_map(|size| serde_json::json!({"name": "adaptive_avg_pool2d", "output_size": size})),
        1 => (n(), n()).prop_map(|(s, e)| serde_json::json!({"name": "flatten", "start_dim": s, "end_dim": e})),
        1 => n().prop_map(|dim| serde_json::json!({"name": "softmax", "dim": dim})),
        1 => (n(), n(), any::<bool>()).prop_map(|(e, h, c)| serde_json::json!({
            "name": "multihead_attention", "embed_dim": e, "num_heads": h, "is_causal": c,
        })),
        1 => (n(), n(), n()).prop_map(|(n, d, p)| serde_json::json!({
            "name": "embedding", "num_embeddings": n, "embedding_dim": d, "padding_idx": p,
        })),
        1 => (n(), n()).prop_map(|(i, o)| serde_json::json!({"name": "linear", "in_features": i, "out_features": o})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_layer_and_any_input_give_an_output_of_numbers_or_an_error_that_names_the_layer(
        layer in any_layer(),
        mut shape in proptest::collection::vec(prop_oneof![2 => Just(1i64), 1 => 2i64..4], 0..5),
        has_its_channels in any::<bool>(),
        kind in prop_oneof![4 => Just(Kind::Float), 1 => Just(Kind::Int64), 1 => Just(Kind::Double)],
        train in any::<bool>(),
    ) {
        let channels = ["num_features", "num_channels", "in_channels"].iter().find_map(|name| layer[name].as_i64());
        if let (Some(channels @ 1..), Some(own), true) = (channels, shape.get_mut(1), has_its_channels) {
            *own = channels;
        }
        let definition: Definition = serde_json::from_value(layer).unwrap();
        let vs = nn::VarStore::new(Device::Cpu);
        let size: i64 = shape.iter().product();
        let input = Tensor::arange(size, (Kind::Float, Device::Cpu)).sin().to_kind(kind).reshape(&shape);
        let made = Layers::new().layer(vs.root() / "it", definition);
        match made.and_then(|layers| layers.forward(&input, mode(train))) {
            Ok(output) => {
                prop_assert!(output.isfinite().all().int64_value(&[]) == 1);
                for (name, tensor) in vs.variables() {
                    prop_assert!(tensor.isfinite().all().int64_value(&[]) == 1, "{}", name);
                }
            }
            Err(error) => prop_assert!(error.to_string().starts_with("layer `it` ("), "{}", error),
        }
    }
}
