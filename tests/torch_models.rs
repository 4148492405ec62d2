//! Weights of real PyTorch, read and written. `tests/interop/models.py make tests/fixtures/torch_models` made the files: layers of each
//! kind, trained for three steps, and their outputs. With `CATENA_PYTHON` set to a Python that has torch, PyTorch also takes
//! `model.safetensors` from snapshots, with `load_state_dict(strict=True)`.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use catena::prelude::*;
use catena::tch::nn::{self, Module, ModuleT, Path as Names, RNN};
use catena::tch::{Device, Kind, Tensor, no_grad};
use catena::tensor::init::InitFrom;
use catena::tensor::rng::{Exclusive, manual_seed};

const CASES: [&str; 5] = ["linear", "conv", "batch_norm", "embedding", "lstm"];
const DTYPES: [(&str, Kind, f64); 2] = [("f32", Kind::Float, 1e-5), ("f64", Kind::Double, 1e-12)];

type Forward = Box<dyn Fn(&Tensor, bool) -> Tensor>;
type Data = BTreeMap<String, Tensor>;

/// The layers of `models.py`, under the same names.
fn layers(case: &str, root: &Names) -> Forward {
    let linear = |name: &str, from, to| nn::linear(root / name, from, to, Default::default());
    match case {
        "linear" => {
            let fc1 = linear("fc1", 6, 5);
            let fc2 = nn::linear(root / "fc2", 5, 3, nn::LinearConfig { bias: false, ..Default::default() });
            Box::new(move |x, _| fc2.forward(&fc1.forward(x).relu()))
        }
        "conv" => {
            let config = nn::ConvConfig { stride: 2, padding: 1, ..Default::default() };
            let conv = nn::conv2d(root / "conv", 2, 4, 3, config);
            let config =
                nn::ConvConfig { padding: 2, dilation: 2, groups: 2, bias: false, ..Default::default() };
            let grouped = nn::conv2d(root / "grouped", 4, 4, 3, config);
            let config = nn::ConvTransposeConfig { stride: 2, ..Default::default() };
            let up = nn::conv_transpose2d(root / "up", 4, 3, 2, config);
            let line = nn::conv1d(root / "line", 3, 3, 3, Default::default());
            Box::new(move |x, _| {
                let x = up.forward(&grouped.forward(&conv.forward(x).relu()).relu());
                line.forward(&x.flatten(2, -1)).mean_dim(2, false, None)
            })
        }
        "batch_norm" => {
            let bn2d = nn::batch_norm2d(root / "bn2d", 2, Default::default());
            let fc = linear("fc", 50, 3);
            let config = nn::BatchNormConfig { affine: false, ..Default::default() };
            let bn1d = nn::batch_norm1d(root / "bn1d", 3, config);
            Box::new(move |x, train| {
                bn1d.forward_t(&fc.forward(&bn2d.forward_t(x, train).flatten(1, -1)), train)
            })
        }
        "embedding" => {
            let config = nn::EmbeddingConfig { padding_idx: 0, ..Default::default() };
            let embedding = nn::embedding(root / "embedding", 10, 4, config);
            let norm = nn::layer_norm(root / "norm", vec![4], Default::default());
            let fc = linear("fc", 4, 3);
            Box::new(move |x, _| {
                fc.forward(&norm.forward(&embedding.forward(x)).sum_dim_intlist(1, false, None))
            })
        }
        _ => {
            let config = nn::RNNConfig { num_layers: 2, bidirectional: true, ..Default::default() };
            let lstm = nn::lstm(root / "lstm", 3, 4, config);
            let gru = nn::gru(root / "gru", 8, 4, Default::default());
            let fc = linear("fc", 4, 3);
            Box::new(move |x, _| fc.forward(&gru.seq(&lstm.seq(x).0).0.select(1, -1)))
        }
    }
}

/// A model and its forward pass, which the model shares.
fn model(case: &str, kind: Kind) -> (nn::VarStore, Forward) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let forward = layers(case, &vs.root());
    if kind == Kind::Double {
        vs.double();
    }
    (vs, forward)
}

fn data(folder: &Path) -> Data {
    Tensor::read_safetensors(folder.join("data.safetensors")).unwrap().into_iter().collect()
}

/// Evaluates, trains, and evaluates again: a batch norm's statistics have moved then.
fn outputs(forward: &Forward, x: &Tensor) -> [(&'static str, Tensor); 3] {
    no_grad(|| {
        [("eval", false), ("train", true), ("moved", false)].map(|(key, mode)| (key, forward(x, mode)))
    })
}

#[test]
fn pytorchs_weights_fit_in_every_name_and_give_equal_outputs() {
    let _exclusive = Exclusive::wait();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch_models");
    let data = data(&folder);
    for (case, (dtype, kind, bound)) in CASES.iter().flat_map(|case| DTYPES.map(|dtype| (case, dtype))) {
        let name = format!("{case}_{dtype}");
        let (vs, forward) = model(case, kind);
        let file = folder.join(format!("{name}.safetensors"));
        let report = InitFrom::file(&file).unwrap().strict().load(&vs).unwrap();
        assert_eq!(report.matched.len(), vs.variables().len());
        for (key, got) in outputs(&forward, &data[&format!("{name}.input")]) {
            let expected = &data[&format!("{name}.{key}")];
            assert_eq!((got.kind(), got.size()), (kind, expected.size()));
            let worst = (&got - expected).abs().max().double_value(&[]);
            assert!(worst <= bound, "{name}, {key}: differs by {worst:.1e}");
        }
    }
}

/// Trains for one epoch of three batches, and gives the snapshot's `model.safetensors`.
fn train(run: &Path, model: Net, x: &Tensor) -> PathBuf {
    let y = Tensor::arange(12, (Kind::Int64, Device::Cpu)).remainder(3);
    let stage = Stage::new("train")
        .train(TensorLoader::new(&x.repeat([&[3][..], &vec![1; x.dim() - 1]].concat()), &y, 4).unwrap())
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.1));
    let runner = Runner::builder(model).run_dir(run).stage(stage).callback(Checkpoint::new());
    assert_eq!(runner.build().unwrap().run().unwrap().steps, 3);
    let newest = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).max();
    newest.unwrap().join("model.safetensors")
}

#[test]
fn pytorch_takes_a_snapshots_weights_strictly_and_gives_equal_outputs() {
    let _exclusive = Exclusive::wait();
    let inputs = data(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch_models"));
    let written = tempfile::tempdir().unwrap();
    let mut data = Vec::new();
    for (case, (dtype, kind, _)) in CASES.iter().flat_map(|case| DTYPES.map(|dtype| (case, dtype))) {
        let name = format!("{case}_{dtype}");
        let x = &inputs[&format!("{name}.input")];
        manual_seed(1);
        let (vs, forward) = model(case, kind);
        let net =
            Net::from_fn(vs, move |batch, mode| Ok(forward(batch.get("input")?, mode.is_train()).into()));
        let saved = train(&written.path().join(&name), net, x);
        std::fs::copy(&saved, written.path().join(format!("{name}.safetensors"))).unwrap();

        let (vs, forward) = model(case, kind);
        assert!(InitFrom::file(saved.parent().unwrap()).unwrap().load(&vs).unwrap().is_complete());
        data.push((format!("{name}.input"), x.shallow_clone()));
        data.extend(outputs(&forward, x).map(|(key, output)| (format!("{name}.{key}"), output)));
    }
    Tensor::write_safetensors(&data, written.path().join("data.safetensors")).unwrap();
    if let Some(python) = std::env::var_os("CATENA_PYTHON") {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/models.py");
        let checked = Command::new(python).arg(program).arg("check").arg(written.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
        println!("{}", text(&checked.stdout));
    }
}
