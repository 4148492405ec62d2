//! Schedules against PyTorch (`fixtures/make_schedule.py` made the numbers), and what torch has no numbers for.
use std::collections::BTreeSet;

use catena_tensor::schedule::{
    AnySchedule, Chained, Constant, CosineAnnealing, CosineAnnealingWarmRestarts, Cyclic, CyclicMode,
    DecayType, Exponential, InverseSqrt, Lambda, Linear, MultiStep, Multiplicative, Noam, OneCycle, Plateau,
    PlateauMode, PlateauState, Polynomial, Schedule, Sequential, Step, SwaLr, ThresholdMode, Warmup,
    WarmupStableDecay, from_value,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    schedule: Value,
    base_lr: f64,
    steps: u64,
    values: Vec<f64>,
    momentum: Option<Vec<f64>>,
    metric: Option<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixture>(include_str!("fixtures/schedule.json")).unwrap().cases
}

/// The closures that the fixture's program names.
fn factor(of: &str) -> fn(u64) -> f64 {
    match of {
        "inverse" => |k| 1.0 / (1 + k) as f64,
        "wave" => |k| 0.6 + 0.4 * (k as f64 / 7.0).cos(),
        "shrink" => |_| 0.95,
        "every tenth" => |k| if k % 10 == 0 { 0.5 } else { 1.0 },
        other => panic!("no closure for {other}"),
    }
}

/// Closures are made here; all else goes through `from_value`.
fn read(settings: &Value) -> AnySchedule {
    let parts = || settings["schedulers"].as_array().unwrap().iter().map(read).collect::<Vec<_>>();
    match settings["name"].as_str().unwrap() {
        "lambda" => Lambda::new(factor(settings["lambda"].as_str().unwrap())).into(),
        "multiplicative" => Multiplicative::new(factor(settings["lambda"].as_str().unwrap())).into(),
        "sequential" if settings.to_string().contains("\"lambda\"") => {
            let milestones: Vec<u64> = serde_json::from_value(settings["milestones"].clone()).unwrap();
            Sequential::new(parts(), milestones).into()
        }
        _ => AnySchedule::from_value(settings.clone()).unwrap(),
    }
}

fn assert_close(case: &str, what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{case}");
    let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
    for (step, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= 1e-12 * largest,
            "{case}: {what} at step {step} is {got}, torch has {expected}"
        );
    }
}

#[test]
fn every_schedule_agrees_with_pytorch() {
    // what torch has no class for is computed by the fixture's program
    let mut without_case: BTreeSet<&str> = AnySchedule::NAMES.iter().copied().collect();
    for case in cases().iter().filter(|case| case.metric.is_none()) {
        let schedule = read(&case.schedule);
        let values: Vec<f64> = (0..case.steps).map(|step| schedule.lr(case.base_lr, step)).collect();
        assert_close(&case.name, "lr", &values, &case.values);
        let momentum: Option<Vec<f64>> = (0..case.steps).map(|step| schedule.momentum(step)).collect();
        assert_eq!(momentum.is_some(), case.momentum.is_some(), "{}", case.name);
        if let (Some(momentum), Some(expected)) = (momentum, &case.momentum) {
            assert_close(&case.name, "momentum", &momentum, expected);
        }
        without_case.remove(case.schedule["name"].as_str().unwrap());
    }
    assert_eq!(without_case, BTreeSet::new(), "these schedules have no case in fixtures/make_schedule.py");
}

#[test]
fn reduce_on_plateau_agrees_with_pytorch_also_after_a_resume_at_every_step() {
    let mut tried = 0;
    for case in cases() {
        let Some(metric) = &case.metric else { continue };
        let mut plateau = Plateau::from_value(case.schedule.clone()).unwrap();
        let mut lr = case.base_lr;
        let mut values = vec![];
        for &metric in metric {
            values.push(lr);
            lr = plateau.step(metric, lr);
            let state = serde_json::to_string(plateau.state()).unwrap();
            plateau = Plateau::from_value(case.schedule.clone()).unwrap();
            plateau.set_state(serde_json::from_str(&state).unwrap());
        }
        assert_close(&case.name, "lr", &values, &case.values);
        tried += 1;
    }
    assert_eq!(tried, 17);
}

#[test]
fn a_plateau_takes_values_that_are_not_finite_and_keeps_a_floor_for_each_group() {
    let mut plateau = Plateau::new().mode(PlateauMode::Max).patience(0).factor(0.5).min_lrs([0.0, 0.4]);
    assert!(!plateau.observe(1.0));
    assert!(plateau.observe(f64::NAN), "NaN is not better");
    assert_eq!([0, 1].map(|group| plateau.reduced(0.5, group)), [0.25, 0.4]);
    assert!(!plateau.observe(f64::INFINITY));
    let state = serde_json::to_string(plateau.state()).unwrap();
    assert_eq!(state, r#"{"best":"inf","num_bad_epochs":0,"cooldown_counter":0}"#);
    assert_eq!(&serde_json::from_str::<PlateauState>(&state).unwrap(), plateau.state());
    assert_eq!(plateau.check_for(2).ok(), Some(()));
    assert_eq!(
        plateau.check_for(3).unwrap_err().to_string(),
        "reduce_on_plateau: `min_lr` is [0.0, 0.4], but must be one number, or one for each of the 3 groups"
    );
}

#[test]
fn schedules_without_a_class_in_torch_follow_their_tables() {
    // the width 4 halves; 2 steps up to 2^-0.5, then step^-0.5
    let noam = |step: f64| 0.5 * step.powf(-0.5);
    let linear = WarmupStableDecay::new(2, 1, 2).decay_type(DecayType::Linear).min_lr_ratio(0.2);
    let root = WarmupStableDecay::new(0, 2, 4).decay_type(DecayType::OneMinusSqrt);
    let half = || Exponential::new(0.5);
    let table: Vec<(AnySchedule, Vec<f64>)> = vec![
        (Noam::new(4, 2).into(), vec![noam(2.0) / 2.0, noam(2.0), noam(3.0), noam(4.0)]),
        (Noam::new(4, 1).factor(2.0).into(), vec![1.0, 2.0 * noam(2.0), 2.0 * noam(3.0), 0.5]),
        (InverseSqrt::new(2).into(), vec![0.0, 0.5, 1.0, (2.0f64 / 3.0).sqrt(), 0.5f64.sqrt()]),
        (
            InverseSqrt::new(1).timescale(3).into(),
            vec![0.0, 1.0, 0.75f64.sqrt(), 0.6f64.sqrt(), 0.5f64.sqrt()],
        ),
        (WarmupStableDecay::new(2, 1, 2).into(), vec![0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]),
        (linear.into(), vec![0.2, 0.6, 1.0, 1.0, 0.6, 0.2, 0.2]),
        (root.into(), vec![1.0, 1.0, 1.0, 0.5, 1.0 - 0.5f64.sqrt(), 1.0 - 0.75f64.sqrt(), 0.0]),
        (Warmup::new(half(), 2).start_factor(0.0).into(), vec![0.0, 0.5, 1.0, 0.5, 0.25]),
        (Warmup::new(half(), 3).into(), vec![1.0 / 3.0, 5.0 / 9.0, 7.0 / 9.0, 1.0, 0.5]),
        // without a jump to where the other one begins
        (Warmup::new(Constant::new(0.5, 1), 2).start_factor(0.2).into(), vec![0.1, 0.3, 0.5, 1.0]),
        (Sequential::new([half().into(), half().into()], [2]).into(), vec![1.0, 0.5, 1.0, 0.5, 0.25]),
        (Sequential::new([half().into()], []).into(), vec![1.0, 0.5, 0.25]),
        (Chained::new([half().into(), MultiStep::new([2]).into()]).into(), vec![1.0, 0.5, 0.025, 0.0125]),
        (
            Chained::new([half().into(), Lambda::new(|k| k as f64).into()]).into(),
            vec![0.0, 0.5, 0.5, 0.375, 0.25],
        ),
    ];
    for (schedule, expected) in table {
        schedule.check().unwrap();
        let values: Vec<f64> = (0..expected.len() as u64).map(|step| schedule.lr(1.0, step)).collect();
        assert_close(&format!("{schedule:?}"), "lr", &values, &expected);
    }
}

#[test]
fn a_product_of_factors_is_the_same_in_any_order_of_counters() {
    let of = || Multiplicative::new(|k| 1.0 / k as f64);
    let asked = of();
    for counter in [3, 3, 1, 5, 0, 4] {
        assert_eq!(asked.lr(1.0, counter), of().lr(1.0, counter));
    }
    assert_eq!(asked.lr(24.0, 4), 1.0);
}

#[test]
fn momentum_is_the_last_one_set_where_the_schedule_that_is_on_does_not_move_it() {
    let part = || OneCycle::new(0.1, 10).momentum_range(0.8, 0.9);
    let step: fn() -> AnySchedule = || Step::new(1).into();
    let sequence = Sequential::new([step(), part().into(), step()], [2, 5]);
    let momentum: Vec<Option<f64>> = (0..7).map(|counter| sequence.momentum(counter)).collect();
    let expected = [0, 0, 0, 1, 2, 2, 2].map(|counter| part().momentum(counter));
    assert_eq!(momentum, expected);
    assert_eq!(Sequential::new([step(), step()], [2]).momentum(1), None);
    let warmup = Warmup::new(part(), 2);
    assert_eq!(
        [0, 1, 2, 3].map(|counter| warmup.momentum(counter)),
        [0, 0, 0, 1].map(|c| part().momentum(c))
    );
    assert_eq!(Chained::new([part().into(), step()]).momentum(1), part().momentum(1));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let of_epochs = r#"{"name": "one_cycle", "max_lr": 0.1, "epochs": 1, "steps_per_epoch": 3}"#;
    let of_epochs: AnySchedule = serde_json::from_str(of_epochs).unwrap();
    let cases: Vec<(AnySchedule, &str)> = vec![
        (Constant::new(2.0, 5).into(), "constant: `factor` is 2, but must be in [0, 1]"),
        (Linear::new().start_factor(0.0).into(), "linear: `start_factor` is 0, but must be in (0, 1]"),
        (Linear::new().end_factor(-0.1).into(), "linear: `end_factor` is -0.1, but must be in [0, 1]"),
        (Linear::new().total_iters(0).into(), "linear: `total_iters` is 0, but must be at least 1"),
        (Step::new(0).into(), "step: `step_size` is 0, but must be at least 1"),
        (Step::new(1).gamma(-1.0).into(), "step: `gamma` is -1, but must be a number of at least 0"),
        (
            MultiStep::new([1]).gamma(f64::NAN).into(),
            "multi_step: `gamma` is NaN, but must be a number of at least 0",
        ),
        (Exponential::new(-0.5).into(), "exponential: `gamma` is -0.5, but must be a number of at least 0"),
        (Polynomial::new().total_iters(0).into(), "polynomial: `total_iters` is 0, but must be at least 1"),
        (
            Polynomial::new().power(-1.0).into(),
            "polynomial: `power` is -1, but must be a number of at least 0",
        ),
        (CosineAnnealing::new(0).into(), "cosine_annealing: `t_max` is 0, but must be at least 1"),
        (
            CosineAnnealing::new(5).eta_min(-1.0).into(),
            "cosine_annealing: `eta_min` is -1, but must be a number of at least 0",
        ),
        (
            CosineAnnealingWarmRestarts::new(0).into(),
            "cosine_annealing_warm_restarts: `t_0` is 0, but must be at least 1",
        ),
        (
            CosineAnnealingWarmRestarts::new(5).t_mult(0).into(),
            "cosine_annealing_warm_restarts: `t_mult` is 0, but must be at least 1",
        ),
        (
            OneCycle::new(0.1, 0).into(),
            "one_cycle: `total_steps` is 0, but must be at least 4 (with `pct_start` 0.3)",
        ),
        (
            OneCycle::new(0.1, 10).pct_start(0.1).into(),
            "one_cycle: `total_steps` is 10, but must be at least 11 (with `pct_start` 0.1)",
        ),
        (
            OneCycle::new(0.1, 1).pct_start(0.0).into(),
            "one_cycle: `total_steps` is 1, but must be at least 2 (with `pct_start` 0)",
        ),
        (of_epochs, "one_cycle: `total_steps` is 3, but must be at least 4 (with `pct_start` 0.3)"),
        (OneCycle::new(0.1, 9).pct_start(1.5).into(), "one_cycle: `pct_start` is 1.5, but must be in [0, 1]"),
        (OneCycle::new(-0.1, 9).into(), "one_cycle: `max_lr` is -0.1, but must be a number above 0"),
        (
            OneCycle::new(0.1, 9).momentum_range(0.8, 1.0).into(),
            "one_cycle: `max_momentum` is 1, but must be in [0, 1)",
        ),
        (Cyclic::new(-0.1, 1.0).into(), "cyclic: `base_lr` is -0.1, but must be a number of at least 0"),
        (Cyclic::new(0.1, 0.0).into(), "cyclic: `max_lr` is 0, but must be a number above 0"),
        (Cyclic::new(0.1, 1.0).step_size_up(0).into(), "cyclic: `step_size_up` is 0, but must be at least 1"),
        (
            Cyclic::new(0.1, 1.0).step_size_down(0).into(),
            "cyclic: `step_size_down` is 0, but must be at least 1",
        ),
        (
            Cyclic::new(0.1, 1.0).gamma(-1.0).into(),
            "cyclic: `gamma` is -1, but must be a number of at least 0",
        ),
        (
            Cyclic::new(0.1, 1.0).momentum_range(-0.1, 0.9).into(),
            "cyclic: `base_momentum` is -0.1, but must be in [0, 1)",
        ),
        (
            OneCycle::new(0.1, 9).div_factor(0.0).into(),
            "one_cycle: `div_factor` is 0, but must be a number above 0",
        ),
        (
            OneCycle::new(0.1, 9).final_div_factor(-1.0).into(),
            "one_cycle: `final_div_factor` is -1, but must be a number above 0",
        ),
        (
            CosineAnnealingWarmRestarts::new(5).eta_min(-1.0).into(),
            "cosine_annealing_warm_restarts: `eta_min` is -1, but must be a number of at least 0",
        ),
        (Noam::new(1, 1).factor(0.0).into(), "noam: `factor` is 0, but must be a number above 0"),
        (
            Warmup::new(Step::new(1), 1).start_factor(1.5).into(),
            "warmup: `start_factor` is 1.5, but must be in [0, 1]",
        ),
        (SwaLr::new(-0.1).into(), "swa: `swa_lr` is -0.1, but must be a number of at least 0"),
        (SwaLr::new(0.1).after(Step::new(0), 3).into(), "step: `step_size` is 0, but must be at least 1"),
        (Noam::new(0, 1).into(), "noam: `d_model` is 0, but must be at least 1"),
        (Noam::new(1, 0).into(), "noam: `warmup_steps` is 0, but must be at least 1"),
        (InverseSqrt::new(1).timescale(0).into(), "inverse_sqrt: `timescale` is 0, but must be at least 1"),
        (
            WarmupStableDecay::new(1, 1, 0).into(),
            "warmup_stable_decay: `decay_steps` is 0, but must be at least 1",
        ),
        (
            WarmupStableDecay::new(1, 1, 1).min_lr_ratio(1.1).into(),
            "warmup_stable_decay: `min_lr_ratio` is 1.1, but must be in [0, 1]",
        ),
        (Warmup::new(Step::new(1), 0).into(), "warmup: `warmup_steps` is 0, but must be at least 1"),
        (Warmup::new(Step::new(0), 1).into(), "step: `step_size` is 0, but must be at least 1"),
        (Sequential::new([], []).into(), "sequential: `schedulers` is 0 schedules, but must be at least 1"),
        (
            Sequential::new([Step::new(1).into()], [3]).into(),
            "sequential: `milestones` is [3], but must be one fewer than the schedulers: 0",
        ),
        (
            Sequential::new([(); 3].map(|()| Step::new(1).into()), [3, 2]).into(),
            "sequential: `milestones` is [3, 2], but must be in ascending order",
        ),
        (Chained::new([]).into(), "chained: `schedulers` is 0 schedules, but must be at least 1"),
        (Chained::new([Step::new(0).into()]).into(), "step: `step_size` is 0, but must be at least 1"),
    ];
    for name in AnySchedule::NAMES {
        assert!(cases.iter().any(|(_, text)| text.starts_with(&format!("{name}:"))), "{name} is not tried");
    }
    for (schedule, text) in cases {
        assert_eq!(schedule.check().unwrap_err().to_string(), text);
        let error = from_value(serde_json::to_value(&schedule).unwrap()).unwrap_err();
        // JSON has no NaN
        assert!(error.to_string() == text || text.contains("NaN"), "{error}");
        // nothing below may panic or hang on settings that nobody checked
        for counter in [0, 1, u64::MAX] {
            let _ = (schedule.lr(0.1, counter), schedule.momentum(counter));
        }
    }
    for (plateau, text) in [
        (Plateau::new().factor(1.0), "reduce_on_plateau: `factor` is 1, but must be in [0, 1)"),
        (Plateau::new().eps(-1.0), "reduce_on_plateau: `eps` is -1, but must be a number of at least 0"),
        (
            Plateau::new().min_lr(-1.0),
            "reduce_on_plateau: `min_lr` is -1, but must be a number of at least 0",
        ),
        (
            Plateau::new().threshold(-1.0, ThresholdMode::Abs),
            "reduce_on_plateau: `threshold` is -1, but must be a number of at least 0",
        ),
    ] {
        assert_eq!(plateau.check().unwrap_err().to_string(), text);
        assert_eq!(Plateau::from_value(json!(plateau)).unwrap_err().to_string(), text);
    }
}

#[test]
fn an_unknown_name_or_setting_is_an_error_that_lists_the_known_ones() {
    let names = format!("`{}`", AnySchedule::NAMES.join("`, `"));
    for (settings, text) in [
        (json!({"name": "cosine"}), format!("schedule: unknown name `cosine`, expected one of {names}")),
        (json!({"name": 3}), format!("schedule: the name is 3, expected one of {names}")),
        (json!({"t_max": 3}), format!("schedule: missing field `name`, one of {names}")),
        (json!(3), "schedule: an object is needed, such as {\"name\": \"step\"}, but this is 3".into()),
        (
            json!({"name": "constant", "factr": 1}),
            "constant: unknown field `factr`, expected `factor` or `total_iters`".into(),
        ),
        (json!({"name": "step"}), "step: missing field `step_size`".into()),
        (
            json!({"name": "cyclic", "base_lr": 0, "max_lr": 1, "mode": "square"}),
            "cyclic: `mode`: unknown variant `square`, expected one of `triangular`, `triangular2`, `exp_range`"
                .into(),
        ),
        (
            json!({"name": "chained", "schedulers": [{"name": "step", "step_sise": 1}]}),
            "chained: `schedulers`: step: unknown field `step_sise`, expected `step_size` or `gamma`".into(),
        ),
        (
            json!({"name": "chained", "schedulers": [{"name": "stepp"}]}),
            format!("chained: `schedulers`: schedule: unknown name `stepp`, expected one of {names}"),
        ),
        (
            json!({"name": "lambda"}),
            "lambda: it is made from a closure, so it can't be read: make it in code".into(),
        ),
        (
            json!({"name": "reduce_on_plateau"}),
            "reduce_on_plateau: it goes by a metric, not by a counter: read it as a `Plateau`".into(),
        ),
    ] {
        assert_eq!(from_value(settings).unwrap_err().to_string(), text);
    }
    for (settings, text) in [
        (json!({"name": "step"}), r#"its `name` is "step", but must be "reduce_on_plateau""#),
        (json!({"min_lr": "low"}), "`min_lr`: a number is needed, or a list with a number for each group"),
        (
            json!({"patients": 3}),
            "unknown field `patients`, expected one of `mode`, `factor`, `patience`, `threshold`, `threshold_mode`, \
             `cooldown`, `min_lr`, `eps`",
        ),
    ] {
        let error = Plateau::from_value(settings).unwrap_err().to_string();
        assert_eq!(error, format!("reduce_on_plateau: {text}"));
    }
}

#[test]
fn one_cycle_takes_epochs_and_their_steps_for_total_steps() {
    let read = |settings| serde_json::from_value::<OneCycle>(settings).unwrap();
    let of_epochs = read(json!({"max_lr": 0.1, "epochs": 4, "steps_per_epoch": 10}));
    let both = read(json!({"max_lr": 0.1, "total_steps": 40, "epochs": 5, "steps_per_epoch": 10}));
    for counter in [0, 11, 25, 39] {
        assert_eq!(of_epochs.lr(0.0, counter), OneCycle::new(0.1, 40).lr(0.0, counter));
        assert_eq!(both.lr(0.0, counter), of_epochs.lr(0.0, counter));
    }
}

fn whole(schedule: impl Into<AnySchedule>) -> AnySchedule {
    schedule.into()
}

fn schedules() -> impl Strategy<Value = AnySchedule> {
    let x = || 0.0..1.0f64;
    let n = || 1..40u64;
    let of_torch = prop_oneof![
        (x(), 0..40u64).prop_map(|(a, n)| whole(Constant::new(a, n))),
        (0.01..1.0f64, x(), n())
            .prop_map(|(a, b, n)| whole(Linear::new().start_factor(a).end_factor(b).total_iters(n))),
        (n(), x()).prop_map(|(n, a)| whole(Step::new(n).gamma(a))),
        (prop::collection::vec(n(), 0..5), x()).prop_map(|(list, a)| whole(MultiStep::new(list).gamma(a))),
        x().prop_map(|a| whole(Exponential::new(a))),
        (n(), 0.0..3.0f64).prop_map(|(n, a)| whole(Polynomial::new().total_iters(n).power(a))),
        (n(), x()).prop_map(|(n, a)| whole(CosineAnnealing::new(n).eta_min(a))),
        (n(), 1..4u64, x())
            .prop_map(|(n, m, a)| whole(CosineAnnealingWarmRestarts::new(n).t_mult(m).eta_min(a))),
        (x(), 4..40u64, prop::bool::ANY, x()).prop_map(|(a, n, phases, b)| {
            whole(OneCycle::new(a + 0.1, n).three_phase(phases).momentum_range(b, 0.9))
        }),
    ];
    let of_others = prop_oneof![
        (x(), n(), prop::option::of(n()), x(), 0..3usize).prop_map(|(a, up, down, b, mode)| {
            let modes = [CyclicMode::Triangular, CyclicMode::Triangular2, CyclicMode::ExpRange];
            let cyclic = Cyclic::new(a, a + 0.1).step_size_up(up).mode(modes[mode]).gamma(b);
            let cyclic = cyclic.momentum_range(b, 0.9).cycle_momentum(b < 0.5);
            whole(down.map_or(cyclic.clone(), |down| cyclic.step_size_down(down)))
        }),
        (n(), n(), 0.1..2.0f64).prop_map(|(d, w, a)| whole(Noam::new(d, w).factor(a))),
        (0..9u64, prop::option::of(n())).prop_map(|(w, t)| {
            let schedule = InverseSqrt::new(w);
            whole(t.map_or(schedule.clone(), |t| schedule.timescale(t)))
        }),
        (0..9u64, 0..9u64, n(), x(), 0..3usize).prop_map(|(w, s, d, a, kind)| {
            let kinds = [DecayType::Cosine, DecayType::Linear, DecayType::OneMinusSqrt];
            whole(WarmupStableDecay::new(w, s, d).min_lr_ratio(a).decay_type(kinds[kind]))
        }),
    ];
    prop_oneof![of_torch, of_others].prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (inner.clone(), 1..40u64, 0.0..1.0f64)
                .prop_map(|(s, n, a)| whole(Warmup::new(s, n).start_factor(a))),
            (prop::option::of(inner.clone()), 0..40u64, 0..9u64, 0.0..1.0f64).prop_map(|(s, n, m, a)| {
                let schedule = SwaLr::new(a).anneal_epochs(m);
                whole(s.map_or(schedule.clone(), |s| schedule.after(s, n)))
            }),
            prop::collection::vec((inner.clone(), 1..40u64), 1..4).prop_map(|parts| {
                let (parts, mut milestones): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                milestones.pop();
                milestones.sort_unstable();
                whole(Sequential::new(parts, milestones))
            }),
            prop::collection::vec(inner, 1..4).prop_map(|parts| whole(Chained::new(parts))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same_schedule(schedule in schedules(), base_lr in 0.0..1.0f64) {
        schedule.check().unwrap();
        let text = serde_json::to_string(&schedule).unwrap();
        let read = AnySchedule::from_value(serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(&read, &schedule);
        for counter in (0..60).chain([1000, u64::MAX]) {
            let [a, b] = [&read, &schedule].map(|schedule| (schedule.lr(base_lr, counter), schedule.momentum(counter)));
            prop_assert!(a.0.is_finite(), "{} at {}", a.0, counter);
            prop_assert_eq!(a, b);
        }
    }
}
