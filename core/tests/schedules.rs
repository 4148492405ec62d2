//! Schedules against PyTorch (`fixtures/make_schedule.py` made the numbers).
use catena_tensor::schedule::{Constant, CosineAnnealing, OneCycle, Schedule};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    schedule: serde_json::Map<String, Value>,
    base_lr: f64,
    steps: u64,
    values: Vec<f64>,
    momentum: Option<Vec<f64>>,
}

fn schedule(settings: &serde_json::Map<String, Value>) -> Option<Box<dyn Schedule>> {
    let mut settings = settings.clone();
    let name = settings.remove("name").unwrap();
    let settings = Value::Object(settings);
    Some(match name.as_str().unwrap() {
        "constant" => Box::new(serde_json::from_value::<Constant>(settings).unwrap()),
        "cosine_annealing" => Box::new(serde_json::from_value::<CosineAnnealing>(settings).unwrap()),
        "one_cycle" => Box::new(serde_json::from_value::<OneCycle>(settings).unwrap()),
        _ => return None,
    })
}

fn assert_close(case: &str, what: &str, got: &[f64], expected: &[f64]) {
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
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/schedule.json")).unwrap();
    let mut tried = 0;
    for case in &fixture.cases {
        let Some(schedule) = schedule(&case.schedule) else { continue };
        schedule.check().unwrap();
        let values: Vec<f64> = (0..case.steps).map(|step| schedule.lr(case.base_lr, step)).collect();
        assert_eq!(values.len(), case.values.len(), "{}", case.name);
        assert_close(&case.name, "lr", &values, &case.values);
        if let Some(expected) = &case.momentum {
            let momentum: Vec<f64> = (0..case.steps).map(|step| schedule.momentum(step).unwrap()).collect();
            assert_close(&case.name, "momentum", &momentum, expected);
        }
        tried += 1;
    }
    assert_eq!(tried, 23, "4 constant, 6 cosine, 13 one-cycle");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let cases: [(Box<dyn Schedule>, &str); 4] = [
        (Box::new(CosineAnnealing::new(0)), "cosine_annealing: `t_max` is 0, but must be at least 1"),
        (Box::new(OneCycle::new(0.1, 0)), "one_cycle: `total_steps` is 0, but must be at least 1"),
        (
            Box::new(OneCycle::new(0.1, 9).pct_start(1.5)),
            "one_cycle: `pct_start` is 1.5, but must be in [0, 1]",
        ),
        (Box::new(Constant::new(2.0, 5)), "constant: `factor` is 2, but must be in [0, 1]"),
    ];
    for (schedule, text) in cases {
        assert_eq!(schedule.check().unwrap_err().to_string(), text);
    }
}
