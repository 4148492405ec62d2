//! An optimizer's state dict: everything that changes goes out and comes back.
use catena_native::tensor::set_grad;
use catena_tensor::optim::{Optimizer, OptimizerConfig, StateDict, names};
use catena_tensor::params::Parameter;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn wave(n: i64, shift: f64) -> Tensor {
    ((Tensor::arange(n, (Kind::Double, Device::Cpu)) + shift) * 0.7).sin()
}

fn params() -> Vec<Parameter> {
    let made = |name: &str, n: i64| Parameter {
        name: name.into(),
        aliases: Vec::new(),
        tensor: wave(n, 0.3).view([n / 3, 3]).to_kind(Kind::Float),
    };
    vec![made("body.w", 12), made("head.w", 6), made("body.v", 9)]
}

fn optimizer(settings: Value, params: &[Parameter]) -> Optimizer {
    Optimizer::new(OptimizerConfig::from_value(settings).unwrap(), params).unwrap()
}

/// Step number `at`: `body.v` has a gradient from the sixth on, and the settings move.
fn step(optimizer: &mut Optimizer, params: &[Parameter], at: u32) {
    for p in params {
        let has = p.name != "body.v" || at > 5;
        let n = p.tensor.numel() as i64;
        let grad = wave(n, f64::from(at)).view_as(&p.tensor).to_kind(Kind::Float);
        set_grad(&p.tensor, has.then_some(&grad)).unwrap();
    }
    optimizer.step().unwrap();
    for group in optimizer.groups_mut() {
        let lr = group.initial_lr() * 0.9f64.powi(at as i32);
        group.set("lr", lr).unwrap();
        if let Some(initial) = group.initial("weight_decay") {
            group.set("weight_decay", initial + 0.001 * f64::from(at) / 3.0).unwrap();
        }
    }
}

fn numbers(params: &[Parameter]) -> Vec<Vec<f32>> {
    params.iter().map(|p| p.tensor.flatten(0, -1).try_into().unwrap()).collect()
}

/// As a file would give it back: the JSON through text, the tensors copied.
fn through_text(saved: StateDict) -> StateDict {
    let mut read: StateDict = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    read.tensors = saved.tensors.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    read
}

fn two_groups(name: &str) -> Value {
    json!({"name": name, "lr": 0.01, "groups": [{"pattern": "head.*", "lr": 0.002}]})
}

#[test]
fn every_optimizer_goes_on_to_the_same_bits_with_settings_as_they_were_moved() {
    for name in names() {
        let run = |stop: Option<u32>| {
            let mut params = params();
            let mut own = optimizer(two_groups(name), &params);
            for at in 1..=9 {
                step(&mut own, &params, at);
                if stop == Some(at) {
                    let saved = through_text(own.state_dict().unwrap());
                    params.iter_mut().for_each(|p| p.tensor = p.tensor.copy());
                    // made with another rate: all settings are the saved ones
                    let mut settings = two_groups(name);
                    settings["lr"] = json!(0.7);
                    own = optimizer(settings, &params);
                    own.load_state_dict(&saved).unwrap();
                }
            }
            let settings: Vec<_> = own.state_dict().unwrap().groups;
            (numbers(&params), settings, own.steps(), own.last_lr())
        };
        let whole = run(None);
        assert_eq!(whole.2, 9);
        assert_eq!(whole.1[0].params, ["head.w"]);
        for stop in [1, 4, 7] {
            assert_eq!(run(Some(stop)), whole, "{name} stopped at {stop}");
        }
    }
}

#[test]
fn state_of_parameters_that_had_none_when_it_was_saved_is_gone_after_a_load() {
    for name in names() {
        let params = params();
        let mut own = optimizer(two_groups(name), &params);
        (1..=3).for_each(|at| step(&mut own, &params, at));
        let saved = through_text(own.state_dict().unwrap());
        let before: Vec<Tensor> = params.iter().map(|p| p.tensor.copy()).collect();
        let go_on = |own: &mut Optimizer| {
            (4..=9).for_each(|at| step(own, &params, at));
            numbers(&params)
        };
        let first = go_on(&mut own);
        for (p, before) in params.iter().zip(&before) {
            p.tensor.shallow_clone().copy_(before);
        }
        own.load_state_dict(&saved).unwrap();
        assert_eq!(go_on(&mut own), first, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let params = params();
    let mut other = optimizer(json!({"name": "adam", "lr": 0.5, "groups": [{"pattern": "head.*"}]}), &params);
    (1..4).for_each(|at| step(&mut other, &params, at));
    let good = || through_text(other.state_dict().unwrap());

    let mut own = optimizer(json!({"name": "adam", "lr": 0.1, "groups": [{"pattern": "head.*"}]}), &params);
    let untouched = serde_json::to_value(own.state_dict().unwrap()).unwrap();
    let mut refused = |saved: StateDict, text: &str| {
        let error = own.load_state_dict(&saved).unwrap_err().to_string();
        assert_eq!(error, format!("optimizer state: {text}"));
        let after = own.state_dict().unwrap();
        assert!(after.tensors.is_empty());
        assert_eq!(serde_json::to_value(after).unwrap(), untouched);
    };
    refused(StateDict { name: "adamw".into(), ..good() }, "it is of `adamw`, but this optimizer is `adam`");
    let mut saved = good();
    saved.groups.pop();
    refused(saved, "it has 1 groups, but this optimizer has 2");
    let mut saved = good();
    saved.groups[0].pattern = Some("heads.*".into());
    refused(saved, "it has the group `heads.*`, where this optimizer has the group `head.*`");
    let mut saved = good();
    saved.groups[1].params[0] = "body.u".into();
    refused(saved, "`body.u` is in a group of only one of the two optimizers");
    let mut saved = good();
    saved.groups[1].params.swap(0, 1);
    refused(saved, "a group's parameters are in another order");
    let mut saved = good();
    saved.groups[1].stepped[0] = false;
    refused(saved, "`body.w` has state, but was never stepped");
    let mut saved = good();
    saved.tensors.retain(|(name, _)| !name.starts_with("head.w"));
    refused(saved, "`head.w` has been stepped, but has no state");
    let mut saved = good();
    saved.tensors.retain(|(name, _)| name != "head.w.exp_avg");
    refused(saved, "the state of `head.w` is not complete");
    let mut saved = good();
    saved.groups[1].initial.remove("beta2");
    refused(saved, "the initial `beta2` is missing");
    let mut saved = good();
    saved.groups[1].settings["amsgrad"] = json!(true);
    refused(saved, "it was saved with amsgrad true, which keeps other state");
}

#[test]
fn a_momentum_that_was_not_there_when_it_was_made_comes_with_the_state() {
    let params = params();
    let with = optimizer(json!({"name": "rmsprop", "momentum": 0.9}), &params);
    let mut without = optimizer(json!({"name": "rmsprop"}), &params);
    without.load_state_dict(&with.state_dict().unwrap()).unwrap();
    assert_eq!(without.groups()[0].get("momentum"), Some(0.9));
    assert_eq!(without.state_dict().unwrap().groups[0].initial, with.state_dict().unwrap().groups[0].initial);

    // and one that a schedule has moved to 0 keeps its own
    let mut stopped = optimizer(json!({"name": "rmsprop", "momentum": 0.9}), &params);
    stopped.groups_mut()[0].set("momentum", 0.0).unwrap();
    let mut other = optimizer(json!({"name": "rmsprop", "momentum": 0.9}), &params);
    other.load_state_dict(&stopped.state_dict().unwrap()).unwrap();
    assert_eq!(other.groups()[0].get("momentum"), Some(0.0));
    assert_eq!(other.groups()[0].initial("momentum"), Some(0.9));
}

/// OneCycle and others move a momentum that was 0, as they may in torch: the buffers come with it, and a state dict has them.
#[test]
fn a_momentum_that_a_schedule_turns_on_gets_its_buffers_and_survives_a_state_dict() {
    for name in ["sgd", "rmsprop"] {
        let make = || {
            let w = Tensor::from_slice(&[1.0, -2.0]);
            let params = [Parameter::new("w", w.shallow_clone())];
            let config = OptimizerConfig::from_value(json!({"name": name, "lr": 0.1})).unwrap();
            (w, Optimizer::new(config, &params).unwrap())
        };
        let step = |w: &Tensor, optimizer: &mut Optimizer, at: usize| {
            if at >= 2 {
                optimizer.groups_mut()[0].set("momentum", 0.9).unwrap();
            }
            set_grad(w, Some(&Tensor::from_slice(&[3.0 + at as f64, -1.0]))).unwrap();
            optimizer.step().unwrap();
        };
        let (whole, mut optimizer) = make();
        (0..6).for_each(|at| step(&whole, &mut optimizer, at));
        for cut in 1..6 {
            let (mut w, mut optimizer) = make();
            (0..cut).for_each(|at| step(&w, &mut optimizer, at));
            let (dict, kept) = (optimizer.state_dict().unwrap(), w.copy());
            (w, optimizer) = make();
            w.copy_(&kept);
            optimizer.load_state_dict(&dict).unwrap();
            (cut..6).for_each(|at| step(&w, &mut optimizer, at));
            assert_eq!(w, whole, "{name}, cut after {cut}");
        }
    }
    // torch.optim.SGD: the first buffer is the gradient itself, 3 - that is lr * (3 + (0.9 * 3 + 4))
    let w = Tensor::from_slice(&[0.0]);
    let params = [Parameter::new("w", w.shallow_clone())];
    let mut optimizer =
        Optimizer::new(OptimizerConfig::from_value(json!({"name": "sgd", "lr": 1.0})).unwrap(), &params)
            .unwrap();
    optimizer.groups_mut()[0].set("momentum", 0.9).unwrap();
    for grad in [3.0, 4.0] {
        set_grad(&w, Some(&Tensor::from_slice(&[grad]))).unwrap();
        optimizer.step().unwrap();
    }
    assert!((w.double_value(&[0]) + 3.0 + 6.7).abs() < 1e-12);
}
