//! Parameters are a set by identity: a tensor with several names, or several places in a list, is one parameter.
use catena_native::tensor::set_grad;
use catena_tensor::hash::sha256;
use catena_tensor::optim::{Adam, AdamW, Optimizer, OptimizerConfig, ParamGroup, Rule, Sgd, names};
use catena_tensor::params::{Parameter, parameters, shared, state_dict, variables};
use proptest::prelude::*;
use serde_json::json;
use tch::nn::{Path, VarStore};
use tch::{Device, Kind, Tensor};

fn tied(path: &Path<'_>, name: &str, tensor: &Tensor) {
    let _same = path.add(name, tensor.shallow_clone(), true);
}

/// Two tied weights, one of them under three names, a buffer that is a parameter, and a buffer with two names.
fn model() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    let root = vs.root();
    let embed = (&root / "embed").ones("weight", &[3, 2]);
    let _bias = root.zeros("bias", &[2]);
    tied(&(&root / "decode"), "weight", &embed);
    let other = root.ones("z", &[2]);
    for name in ["y", "x"] {
        tied(&root, name, &other);
    }
    let _shown = root.add("shown", other.shallow_clone(), false);
    let mean = root.zeros_no_train("mean", &[2]);
    let _again = root.add("average", mean, false);
    vs
}

#[test]
fn lists_names_and_hashes_are_the_same_in_every_var_store() {
    // each hash map has an order of its own, as in another process
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let vs = model();
        let names: Vec<Vec<String>> =
            parameters(&vs).iter().map(|p| p.names().map(str::to_owned).collect()).collect();
        let expected: [&[&str]; 3] =
            [&["decode.weight", "embed.weight"], &["bias"], &["shown", "x", "y", "z"]];
        assert_eq!(names, expected);
        let of_set: Vec<String> = variables(&vs).into_iter().map(|(name, _)| name).collect();
        assert_eq!(of_set, ["average", "bias", "decode.weight", "shown"]);
        let buffers: Vec<String> =
            catena_tensor::params::buffers(&vs).into_iter().map(|(name, _)| name).collect();
        assert_eq!(buffers, ["average"]);
        assert_eq!(state_dict(&vs).len(), 9);
        assert_eq!(shared(&vs).len(), 3);
        let mut optimizer = Optimizer::new(Adam::new(0.1), &parameters(&vs)).unwrap();
        for p in parameters(&vs) {
            set_grad(&p.tensor, Some(&p.tensor.ones_like().detach())).unwrap();
        }
        optimizer.step().unwrap();
        let state: Vec<String> = optimizer.state().into_iter().map(|(name, _)| name).collect();
        assert!(state.contains(&"shown.exp_avg".to_owned()) && state.len() == 9, "{state:?}");
        seen.insert((sha256(&variables(&vs)).unwrap(), sha256(&optimizer.state()).unwrap()));
    }
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_group_finds_a_tensor_by_any_of_its_names() {
    for pattern in ["embed.*", "decode.*", "*code.weight"] {
        let optimizer =
            Optimizer::new(Sgd::new(0.1).group(ParamGroup::new(pattern).lr(0.5)), &parameters(&model()));
        let optimizer = optimizer.unwrap();
        assert_eq!(optimizer.groups()[0].names(), ["decode.weight"], "{pattern}");
        assert_eq!(optimizer.matching(pattern).unwrap(), [true, false, false]);
    }
    assert!(Optimizer::new(Sgd::new(0.1).group(ParamGroup::new("nothing")), &parameters(&model())).is_err());
}

#[test]
fn two_groups_that_claim_a_tensor_by_two_names_are_refused_with_all_four() {
    let two = |a: &str, b: &str| {
        let config = Sgd::new(0.1).group(ParamGroup::new(a).lr(0.5)).group(ParamGroup::new(b).lr(0.2));
        Optimizer::new(config, &parameters(&model()))
    };
    assert_eq!(
        two("embed.*", "decode.*").unwrap_err().to_string(),
        "`embed.weight` and `decode.weight` are names of one tensor, but the group `embed.*` claims it by the one and the group \
         `decode.*` by the other; leave it to one of them, by a pattern that matches neither name in the other"
    );
    assert!(two("x", "z").is_err());
    let shadowed = two("embed.*", "*.weight").unwrap_err().to_string();
    assert!(shadowed.contains("the group `*.weight` sets nothing"), "{shadowed}");
    // where the second pattern matches the first one's name as well, the order decides, as for a tensor with one name
    let optimizer = two("embed.*", "*").unwrap();
    assert_eq!(
        (optimizer.groups()[0].names(), optimizer.groups()[0].get("lr")),
        (&["decode.weight".to_owned()][..], Some(0.5))
    );
    let vectors = AdamW::new(0.1).group(ParamGroup::new("embed.*").lr(0.5)).no_decay_on_bias_and_norm();
    assert!(Optimizer::new(vectors, &parameters(&model())).is_ok());
}

#[test]
fn state_is_taken_back_under_any_name_but_not_under_two() {
    let stepped = || {
        let vs = model();
        let mut optimizer = Optimizer::new(Adam::new(0.1), &parameters(&vs)).unwrap();
        for p in parameters(&vs) {
            set_grad(&p.tensor, Some(&p.tensor.ones_like().detach())).unwrap();
        }
        optimizer.step().unwrap();
        optimizer
    };
    let own = stepped();
    // as PyTorch names them: by the name that came first
    let mut dict = own.state_dict().unwrap();
    for (name, _) in &mut dict.tensors {
        *name = name.replace("decode.weight.", "embed.weight.").replace("shown.", "z.");
    }
    for name in dict.groups.iter_mut().flat_map(|group| &mut group.params) {
        *name = name.replace("decode.weight", "embed.weight").replace("shown", "z");
    }
    let mut other = Optimizer::new(Adam::new(0.1), &parameters(&model())).unwrap();
    other.load_state_dict(&dict).unwrap();
    assert_eq!(sha256(&other.state()).unwrap(), sha256(&own.state()).unwrap());

    // a model in which they were two parameters
    let mut dict = own.state_dict().unwrap();
    let more: Vec<(String, Tensor)> = dict
        .tensors
        .iter()
        .filter_map(|(name, tensor)| {
            Some((format!("embed.weight.{}", name.strip_prefix("decode.weight.")?), tensor.copy()))
        })
        .collect();
    dict.tensors.extend(more);
    let text = other.load_state_dict(&dict).unwrap_err().to_string();
    assert!(
        text.starts_with("`decode.weight` and `embed.weight` are names of one tensor, but both have state"),
        "{text}"
    );
    let mut dict = own.state_dict().unwrap();
    dict.groups[0].params.push("embed.weight".into());
    let text = other.load_state_dict(&dict).unwrap_err().to_string();
    assert!(text.contains("but both are in the saved optimizer, as two parameters"), "{text}");
}

#[test]
fn a_file_in_pytorchs_layout_is_read_by_any_name() {
    let path = std::env::temp_dir().join(format!("catena-identity-{}.safetensors", std::process::id()));
    let step = |vs: &VarStore, optimizer: &mut Optimizer| {
        for p in parameters(vs) {
            set_grad(&p.tensor, Some(&p.tensor.ones_like().detach())).unwrap();
        }
        optimizer.step().unwrap();
    };
    // in PyTorch the tensor goes by the name that came first, here by that of the untied model
    let vs = VarStore::new(Device::Cpu);
    let _w = (vs.root() / "embed").ones("weight", &[2]);
    let mut written = Optimizer::new(Adam::new(0.1), &parameters(&vs)).unwrap();
    step(&vs, &mut written);
    written.save(&path).unwrap();
    let vs = VarStore::new(Device::Cpu);
    let w = (vs.root() / "embed").ones("weight", &[2]);
    tied(&(vs.root() / "decode"), "weight", &w);
    let mut read = Optimizer::new(Adam::new(0.1), &parameters(&vs)).unwrap();
    read.load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read.state()[0].0, "decode.weight.step");
    assert_eq!(read.state()[1].1, written.state()[1].1);
}

#[test]
fn views_and_computed_tensors_are_no_parameters() {
    let vs = VarStore::new(Device::Cpu);
    let w = vs.root().ones("embed", &[3, 2]);
    tied(&vs.root(), "head", &w.tr());
    let text = Optimizer::new(Sgd::new(0.1), &parameters(&vs)).unwrap_err().to_string();
    assert!(text.starts_with("`embed` and `head` are two tensors over the same memory"), "{text}");

    let vs = VarStore::new(Device::Cpu);
    let whole = Tensor::zeros([4], (Kind::Float, Device::Cpu));
    for (name, start) in [("a", 0), ("b", 2)] {
        tied(&vs.root(), name, &whole.narrow(0, start, 2));
    }
    assert!(
        Optimizer::new(Sgd::new(0.1), &parameters(&vs)).is_ok(),
        "parts of one memory, as cuDNN lays out weights"
    );
    tied(&vs.root(), "c", &whole.narrow(0, 1, 2));
    let text = Optimizer::new(Sgd::new(0.1), &parameters(&vs)).unwrap_err().to_string();
    assert!(text.starts_with("`a` and `c` are two tensors"), "{text}");

    let vs = VarStore::new(Device::Cpu);
    let w = vs.root().ones("w", &[2]);
    tied(&vs.root(), "double", &(&w * 2.0));
    let text = Optimizer::new(Sgd::new(0.1), &parameters(&vs)).unwrap_err().to_string();
    assert!(text.starts_with("`double` is computed from other tensors"), "{text}");
}

/// Tensors with gradients, as functions of their number: even ones are matrices, in f32 or bfloat16.
fn tensors(n: usize, kind: Kind) -> Vec<Tensor> {
    let made = |i: usize| {
        let size: &[i64] = if i.is_multiple_of(2) { &[3, 2] } else { &[2] };
        let wave = |by: f64| {
            let n: i64 = size.iter().product();
            (Tensor::arange(n, (Kind::Double, Device::Cpu)) * by + i as f64).sin().view(size).to_kind(kind)
        };
        let tensor = wave(0.7).set_requires_grad(true);
        set_grad(&tensor, Some(&wave(1.3))).unwrap();
        tensor
    };
    (0..n).map(made).collect()
}

fn list(tensors: &[Tensor], order: &[usize]) -> Vec<Parameter> {
    let one =
        |(place, i): (usize, &usize)| Parameter::new(format!("p{place}.{i}"), tensors[*i].shallow_clone());
    order.iter().enumerate().map(one).collect()
}

fn values(tensors: &[Tensor]) -> String {
    let all = tensors
        .iter()
        .enumerate()
        .flat_map(|(i, t)| [(format!("{i}"), t.detach()), (format!("{i} grad"), t.grad())]);
    sha256(&all.collect::<Vec<_>>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_list_with_repeated_members_steps_clips_unscales_divides_and_measures_as_the_set(
        order in proptest::collection::vec(0usize..5, 1..12),
        half in any::<bool>(),
    ) {
        let kind = if half { Kind::BFloat16 } else { Kind::Float };
        let mut set = Vec::new();
        order.iter().for_each(|i| if !set.contains(i) { set.push(*i) });
        // Muon is for matrices alone
        for name in names().filter(|name| *name != "muon" || order.iter().all(|i| i.is_multiple_of(2))) {
            let ends = [&order, &set].map(|order| {
                let tensors = tensors(5, kind);
                let config = OptimizerConfig::from_value(json!({"name": name, "lr": 0.1})).unwrap();
                let mut optimizer = Optimizer::new(config, &list(&tensors, order)).unwrap();
                assert_eq!(optimizer.params().len(), set.len());
                optimizer.divide_gradients(0.125).unwrap();
                assert!(!optimizer.unscale_gradients(0.25).unwrap());
                let norm = optimizer.clip_grad_norm(0.5, 2.0).unwrap().double_value(&[]);
                for _ in 0..2 {
                    optimizer.step().unwrap();
                }
                let state: Vec<String> = optimizer.state().iter().map(|(_, tensor)| sha256(&[(String::new(), tensor.shallow_clone())]).unwrap()).collect();
                (norm.to_bits(), values(&tensors), state)
            });
            prop_assert_eq!(&ends[0], &ends[1], "{}", name);
        }
    }
}
