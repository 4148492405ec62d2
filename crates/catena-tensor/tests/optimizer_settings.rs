//! Optimizers' settings: groups, data, and what is refused.
use std::collections::BTreeMap;

use catena_tensor::optim::{AdamW, Muon, Optimizer, OptimizerConfig, ParamGroup, Rule, names};
use catena_tensor::params::Parameter;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

#[test]
fn the_first_matching_group_wins_and_the_rest_has_the_rules_settings() {
    let names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
    let params: Vec<Parameter> = names
        .iter()
        .map(|name| Parameter {
            name: (*name).into(),
            aliases: Vec::new(),
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

#[test]
fn every_optimizer_goes_to_data_and_back_with_torchs_defaults() {
    let defaults: BTreeMap<String, serde_json::Map<String, Value>> =
        serde_json::from_str(include_str!("fixtures/optim_defaults.json")).unwrap();
    assert!(names().eq(defaults.keys()), "{:?}", names().collect::<Vec<_>>());
    for (name, defaults) in defaults {
        let config = OptimizerConfig::from_value(json!({ "name": name })).unwrap();
        assert!(config.check().is_ok(), "{name}");
        let mut written = config.to_value().unwrap();
        assert_eq!(written.as_object_mut().unwrap().remove("name"), Some(json!(name)));
        assert_eq!(written, Value::Object(defaults), "{name}");
    }
    let whole = json!({
        "name": "adamw", "lr": 0.001, "betas": [0.8, 0.99], "eps": 1e-9, "weight_decay": 0.1, "amsgrad": true,
        "maximize": false, "groups": [{"pattern": "*.bias", "weight_decay": 0.0}],
    });
    let config: OptimizerConfig = serde_json::from_value(whole.clone()).unwrap();
    assert_eq!(config.to_value().unwrap(), whole);
    let settings = config.rule().to_value().unwrap();
    assert_eq!((&settings["betas"], &settings["name"]), (&json!([0.8, 0.99]), &Value::Null));
}

#[test]
fn unknown_names_and_fields_are_refused_with_the_known_ones() {
    let all = "`adadelta`, `adafactor`, `adagrad`, `adam`, `adamax`, `adamw`, `asgd`, `lamb`, `lion`, `muon`, `nadam`, \
               `radam`, `rmsprop`, `rprop`, `sgd`";
    for (value, text) in [
        (json!({"name": "adamx"}), format!("optimizer: unknown name `adamx`, expected one of {all}")),
        (json!({"lr": 0.1}), format!("optimizer: missing field `name`, one of {all}")),
        (json!({"name": 7}), format!("optimizer: the name is 7, expected one of {all}")),
        (
            json!(["sgd"]),
            "optimizer: an object is needed, such as {\"name\": \"sgd\"}, but this is [\"sgd\"]".into(),
        ),
        (
            json!({"name": "lion", "beta": 0.9}),
            "lion: unknown field `beta`, expected one of `lr`, `betas`, `weight_decay`, `maximize`".into(),
        ),
        (
            json!({"name": "lion", "groups": [{"pattern": "*", "eps": 1}]}),
            "lion: unknown field `eps`, expected one of `lr`, `betas`, `weight_decay`, `maximize`".into(),
        ),
        (json!({"name": "lion", "groups": [{"lr": 1}]}), "lion: missing field `pattern`".into()),
        (
            json!({"name": "muon", "adjust_lr_fn": "new"}),
            "muon: `adjust_lr_fn`: unknown variant `new`, expected `original` or `match_rms_adamw`".into(),
        ),
    ] {
        assert_eq!(OptimizerConfig::from_value(value.clone()).unwrap_err().to_string(), text);
        assert_eq!(serde_json::from_value::<OptimizerConfig>(value).unwrap_err().to_string(), text);
    }
}

#[test]
fn settings_out_of_range_are_refused_with_name_and_range() {
    for name in names() {
        let config = OptimizerConfig::from_value(json!({ "name": name })).unwrap();
        let mut rule = config.rule().clone_box();
        for setting in rule.settings() {
            let (wrong, called, allowed) = match (*setting, name) {
                ("beta1", _) => (1.0, "betas[0]", "in [0, 1)"),
                ("beta2", _) => (-0.1, "betas[1]", "in [0, 1)"),
                ("rho" | "alpha", "adadelta" | "rmsprop") => (1.5, *setting, "in [0, 1]"),
                ("momentum", "muon") => (1.0, *setting, "in [0, 1)"),
                ("dampening", _) => (f64::INFINITY, *setting, "a finite number"),
                ("beta2_decay", _) => (0.5, *setting, "a number of at most 0"),
                ("d", _) => (0.5, *setting, "a number of at least 1"),
                ("eps2", _) => (-1.0, "eps[1]", "a number of at least 0"),
                ("etaminus", _) => (1.0, "etas[0]", "in (0, 1)"),
                ("etaplus", _) => (1.0, "etas[1]", "a number above 1"),
                ("step_size_min", _) => (-1.0, "step_sizes[0]", "a number of at least 0"),
                ("step_size_max", _) => (0.0, "step_sizes[1]", "a number of at least step_sizes[0]"),
                _ => (-0.5, *setting, "a number of at least 0"),
            };
            let value = std::mem::replace(rule.setting(setting).unwrap(), wrong);
            let text = format!("{name}: `{called}` is {wrong}, but must be {allowed}");
            assert_eq!(rule.check().unwrap_err().to_string(), text);
            *rule.setting(setting).unwrap() = f64::NAN;
            assert!(rule.check().is_err(), "{name}: {setting}");
            *rule.setting(setting).unwrap() = value;
            assert!(rule.check().is_ok(), "{name}: {setting}");
        }
        assert!(rule.setting("nothing").is_none());
    }
    for (value, text) in [
        (json!({"name": "nadam", "betas": [0.9, 1.0]}), "nadam: `betas[1]` is 1, but must be in [0, 1)"),
        (json!({"name": "sgd", "nesterov": true}), "sgd: `momentum` is 0, but must be above 0 with nesterov"),
        (
            json!({"name": "sgd", "momentum": 0.9, "dampening": 0.1, "nesterov": true}),
            "sgd: `dampening` is 0.1, but must be 0 with nesterov",
        ),
        (
            json!({"name": "rprop", "step_sizes": [1.0, 0.5]}),
            "rprop: `step_sizes[1]` is 0.5, but must be a number of at least step_sizes[0]",
        ),
        (
            json!({"name": "adafactor", "eps": [-1.0, 0.1]}),
            "adafactor: `eps[0]` is -1, but must be a number of at least 0",
        ),
        (json!({"name": "muon", "ns_steps": 100}), "muon: `ns_steps` is 100, but must be below 100"),
        (
            json!({"name": "sgd", "groups": [{"pattern": "*", "momentum": -1}]}),
            "sgd: `momentum` is -1, but must be a number of at least 0",
        ),
    ] {
        assert_eq!(OptimizerConfig::from_value(value).unwrap().check().unwrap_err().to_string(), text);
    }
}

#[test]
fn a_parameter_that_the_rule_cannot_update_is_refused_when_built() {
    let params = [("fc.weight", vec![3, 4]), ("fc.bias", vec![3])].map(|(name, size)| Parameter {
        name: name.into(),
        aliases: Vec::new(),
        tensor: Tensor::zeros(size, (Kind::Float, Device::Cpu)),
    });
    assert!(Optimizer::new(Muon::new(0.1), &params[..1]).is_ok());
    assert_eq!(
        Optimizer::new(Muon::new(0.1), &params).unwrap_err().to_string(),
        "parameter `fc.bias` of shape [3] doesn't fit: muon is for matrices; give this parameter to another optimizer",
    );
}

#[test]
fn biases_and_norms_do_not_decay_in_any_group() {
    let shapes: [(&str, &[i64]); 5] = [
        ("conv.weight", &[2, 1, 3, 3]),
        ("norm.weight", &[2]),
        ("scale", &[]),
        ("head.weight", &[2, 2]),
        ("head.bias", &[2]),
    ];
    let params = shapes.map(|(name, shape)| Parameter {
        name: name.into(),
        aliases: Vec::new(),
        tensor: Tensor::zeros(shape, (Kind::Float, Device::Cpu)),
    });
    let config = AdamW::new(1e-3)
        .no_decay_on_bias_and_norm()
        .group(ParamGroup::new("head.*").lr(1e-4).set("weight_decay", 0.3));
    let text = config.to_value().unwrap();
    let config = OptimizerConfig::from_value(text.clone()).unwrap();
    assert_eq!(config.to_value().unwrap(), text);
    let optimizer = Optimizer::new(config, &params).unwrap();
    let seen: Vec<(Vec<&str>, f64, f64)> = optimizer
        .groups()
        .iter()
        .map(|g| {
            let names = g.names().iter().map(String::as_str).collect();
            (names, g.get("lr").unwrap(), g.get("weight_decay").unwrap())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (vec!["head.bias"], 1e-4, 0.0),
            (vec!["head.weight"], 1e-4, 0.3),
            (vec!["norm.weight", "scale"], 1e-3, 0.0),
            (vec!["conv.weight"], 1e-3, 1e-2),
        ]
    );

    // without vectors nothing is wrong; a group of vectors that the user names is
    assert_eq!(
        Optimizer::new(AdamW::new(0.1).no_decay_on_bias_and_norm(), &params[..1]).unwrap().groups().len(),
        1
    );
    let error =
        Optimizer::new(AdamW::new(0.1).group(ParamGroup::vectors().lr(1.0)), &params[..1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pattern `* (at most 1-D)` matches no parameter; the parameters are: conv.weight"
    );
    for (config, text) in [
        (
            json!({"name": "rprop", "no_decay_on_bias_and_norm": true}),
            "rprop: unknown field `weight_decay`, expected",
        ),
        (
            json!({"name": "adamw", "no_decay_on_bias_and_norm": 1}),
            "adamw: `no_decay_on_bias_and_norm`: invalid type: integer `1`, expected a boolean",
        ),
    ] {
        let error = OptimizerConfig::from_value(config).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
}
