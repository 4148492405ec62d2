//! Wrong settings: what PyTorch refuses is refused here too, when built, by name (`fixtures/make_refused.py` asked PyTorch).
use std::collections::BTreeMap;
use std::fmt::Write;

use catena_tensor::loss;
use catena_tensor::optim::{OptimizerConfig, names};
use catena_tensor::schedule::{AnySchedule, OneCycle, Plateau, Schedule};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    of: String,
    settings: Value,
    /// What PyTorch raised.
    torch: Option<String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixture>(include_str!("fixtures/refused.json")).unwrap().cases
}

/// What is wrong with the settings, in catena's words.
fn refused(of: &str, settings: &Value) -> Option<String> {
    let name = settings["name"].as_str().unwrap_or_default();
    let result = match (of, name) {
        ("optimizer", _) => OptimizerConfig::from_value(settings.clone()).and_then(|config| config.check()),
        ("loss", _) => loss::from_value(settings.clone()).map(drop),
        (_, "reduce_on_plateau") => Plateau::from_value(settings.clone()).map(drop),
        _ => AnySchedule::from_value(settings.clone()).map(drop),
    };
    result.err().map(|error| error.to_string())
}

/// The setting of a case that differs from most cases of its name.
fn changed(case: &Case, base: &BTreeMap<String, Value>) -> String {
    let name = case.settings["name"].as_str().unwrap();
    let differs = |key: &&String| case.settings[key.as_str()] != base[name][key.as_str()];
    case.settings.as_object().unwrap().keys().find(differs).cloned().unwrap_or_default()
}

/// The settings that most cases of a name have.
fn bases(cases: &[Case]) -> BTreeMap<String, Value> {
    let mut counts: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    for case in cases {
        let name = case.settings["name"].as_str().unwrap();
        for (key, value) in case.settings.as_object().unwrap() {
            let of = counts.entry((name.into(), key.clone())).or_default();
            *of.entry(value.to_string()).or_default() += 1;
        }
    }
    let mut bases: BTreeMap<String, Value> = BTreeMap::new();
    for ((name, key), values) in counts {
        let (most, _) = values.iter().max_by_key(|(_, count)| **count).unwrap();
        bases.entry(name).or_insert_with(|| json!({}))[key] = serde_json::from_str(most).unwrap();
    }
    bases
}

#[test]
fn what_pytorch_refuses_is_refused_by_the_settings_name() {
    let cases = cases();
    let bases = bases(&cases);
    let (mut tried, mut taken) = (0, Vec::new());
    for case in cases.iter().filter(|case| case.torch.is_some()) {
        let setting = changed(case, &bases);
        let name = case.settings["name"].as_str().unwrap();
        let Some(why) = refused(&case.of, &case.settings) else {
            taken.push(format!(
                "{name} {setting} {}: {}",
                case.settings[&setting],
                case.torch.as_deref().unwrap_or_default()
            ));
            continue;
        };
        assert!(why.starts_with(&format!("{name}: `{setting}")), "{}: {why}", case.settings);
        tried += 1;
    }
    assert!(tried > 300, "{tried}");
    // torch divides by the factor to take it back; here nothing has to be
    assert_eq!(taken, ["constant factor 0.0: ZeroDivisionError: float division by zero"]);
}

#[test]
fn what_pytorch_takes_and_catena_refuses_is_known() {
    let cases = cases();
    let bases = bases(&cases);
    let mut stricter: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.torch.is_none()) {
        if refused(&case.of, &case.settings).is_some() {
            let setting = changed(case, &bases);
            let value = case.settings[&setting].to_string();
            stricter.entry(format!("{} {setting}", case.settings["name"])).or_default().push(value);
        }
    }
    let text = stricter.iter().fold(String::new(), |mut text, (setting, values)| {
        let _ = writeln!(text, "{setting}: {}", values.join(" "));
        text
    });
    insta::assert_snapshot!(text);
}

#[test]
fn no_optimizer_takes_a_number_that_is_not_finite() {
    for name in names() {
        let config = OptimizerConfig::from_value(json!({ "name": name })).unwrap();
        for setting in config.rule().settings() {
            for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut rule = config.rule().clone_box();
                *rule.setting(setting).unwrap() = wrong;
                let error = rule.check().unwrap_err().to_string();
                assert!(error.contains(&format!("` is {wrong}, but must be ")), "{setting}: {error}");
            }
        }
    }
}

/// What a schedule gives must be a learning rate, wherever its settings are taken.
#[test]
fn a_schedule_that_is_taken_gives_numbers_only() {
    let extreme =
        [-1.0, 0.0, f64::MIN_POSITIVE / 4.0, 1e-300, 1e-9, 0.5, 1.0, 2.0, 1e300, f64::INFINITY, f64::NAN];
    let mut schedules: Vec<AnySchedule> = Vec::new();
    for x in extreme {
        for total in [0, 1, 2, 4, 10, u64::MAX] {
            for three_phase in [false, true] {
                let cycle = OneCycle::new(1.0, total).three_phase(three_phase);
                schedules.push(cycle.clone().pct_start(x).into());
                schedules.push(cycle.clone().div_factor(x).into());
                schedules.push(cycle.clone().final_div_factor(x).into());
                schedules.push(OneCycle::new(x, total).three_phase(three_phase).into());
            }
        }
    }
    let read = cases().into_iter().filter(|case| case.of == "schedule");
    schedules.extend(read.filter_map(|case| AnySchedule::from_value(case.settings).ok()));
    let mut taken = 0;
    for schedule in schedules.iter().filter(|schedule| schedule.check().is_ok()) {
        for counter in 0..50 {
            let (lr, momentum) = (schedule.lr(0.1, counter), schedule.momentum(counter));
            assert!(lr.is_finite() && lr >= 0.0, "{schedule:?} gives {lr} at {counter}");
            assert!(
                momentum.is_none_or(|m| (0.0..1.0).contains(&m)),
                "{schedule:?}: {momentum:?} at {counter}"
            );
        }
        taken += 1;
    }
    assert!(taken > 200, "{taken}");
}

#[test]
fn the_texts_of_wrong_settings() {
    let mut text = String::new();
    for (of, settings) in [
        ("loss", json!({"name": "crossentropy"})),
        ("loss", json!({"label_smoothing": 0.1})),
        ("loss", json!({"name": 3})),
        ("loss", json!("mse")),
        ("loss", json!({"name": "mse", "reduction": "none"})),
        ("loss", json!({"name": "cross_entropy", "label_smoothing": 1.5})),
        ("loss", json!({"name": "cross_entropy", "label_smoothing": null})),
        ("loss", json!({"name": "cross_entropy", "ignore_index": 0.5})),
        ("optimizer", json!({"name": "adamw", "lr": -0.1})),
        ("optimizer", json!({"name": "adamw", "lr": "0.1"})),
        ("optimizer", json!({"name": "adamw", "betas": [0.9]})),
        ("optimizer", json!({"name": "adamw", "betas": 0.9})),
        ("optimizer", json!({"name": "adamw", "betas": [0.9, 1.0]})),
        ("optimizer", json!({"name": "adamw", "beta1": 0.9})),
        ("optimizer", json!({"name": "adam_w"})),
        ("optimizer", json!({"name": "sgd", "groups": [{"pattern": "*.bias", "lr": "low"}]})),
        ("optimizer", json!({"name": "sgd", "groups": {"pattern": "*.bias"}})),
        ("optimizer", json!({"name": "sgd", "no_decay_on_bias_and_norm": "yes"})),
        ("schedule", json!({"name": "step", "step_size": -5})),
        ("schedule", json!({"name": "step", "step_size": 2.5})),
        ("schedule", json!({"name": "multi_step", "milestones": [3, -1]})),
        ("schedule", json!({"name": "multi_step", "milestones": 3})),
        ("schedule", json!({"name": "one_cycle", "max_lr": 0.1})),
        ("schedule", json!({"name": "one_cycle", "max_lr": 0.1, "total_steps": 3})),
        ("schedule", json!({"name": "one_cycle", "max_lr": 0.1, "total_steps": 100, "div_factor": 0})),
        ("schedule", json!({"name": "cyclic", "base_lr": 0.1, "max_lr": 1, "mode": "square"})),
        ("schedule", json!({"name": "cyclic", "base_lr": 0.1, "max_lr": 1, "step_size_down": -1})),
        ("schedule", json!({"name": "warmup", "warmup_steps": 3, "schedule": {"name": "step", "gama": 1}})),
        ("schedule", json!({"name": "CosineAnnealingLR", "T_max": 10})),
        ("schedule", json!({"name": "reduce_on_plateau", "patience": -1})),
    ] {
        let why = refused(of, &settings).unwrap_or_else(|| panic!("{settings} is taken"));
        let _ = writeln!(text, "{settings}\n    {why}");
    }
    insta::assert_snapshot!(text);
}
