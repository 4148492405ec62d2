//! The cases that `fixtures/make_metrics.py` made, and how they are fed to metrics.
#![allow(dead_code, reason = "each of the test programs that share this uses a part of it")]
use std::collections::BTreeMap;

use catena_metrics::{Computed, Meter, Seen, from_value};
use catena_tensor::tch::{Device, Kind, Tensor};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Fixture {
    pub(crate) data: BTreeMap<String, BTreeMap<String, Value>>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) data: String,
    pub(crate) metric: Value,
    pub(crate) value: Value,
}

pub(crate) type Parts = BTreeMap<String, Tensor>;

pub(crate) fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/metrics.json")).unwrap()
}

pub(crate) fn flat(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flat(item, into)),
        Value::String(text) => into.push(text.parse().unwrap()),
        number => into.push(number.as_f64().unwrap()),
    }
}

/// The first GPU if there is one, so that metrics are tried where they have to be fast.
pub(crate) fn device() -> Device {
    Device::cuda_if_available()
}

pub(crate) fn tensor(value: &Value) -> Tensor {
    let (mut shape, mut level) = (Vec::new(), value);
    while let Value::Array(items) = level {
        shape.push(items.len() as i64);
        level = &items[0];
    }
    let mut numbers = Vec::new();
    flat(value, &mut numbers);
    let kind = if level.is_i64() { Kind::Int64 } else { Kind::Double };
    Tensor::from_slice(&numbers).view(&shape[..]).to_kind(kind).to_device(device())
}

pub(crate) fn parts(data: &BTreeMap<String, Value>) -> Parts {
    data.iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

pub(crate) fn rows(parts: &Parts) -> i64 {
    parts["input"].size()[0]
}

pub(crate) fn cut(parts: &Parts, start: i64, length: i64) -> Parts {
    parts.iter().map(|(name, part)| (name.clone(), part.narrow(0, start, length))).collect()
}

/// A meter of the metric with these settings.
pub(crate) fn meter(settings: &Value) -> Meter {
    Meter::new(from_value(settings.clone()).unwrap())
}

pub(crate) fn feed(metric: &mut Meter, parts: &Parts) {
    let part = |name| parts.get(name);
    let (target, weight, indexes) = (part("target"), part("weight"), part("indexes"));
    metric.update(&Seen { input: &parts["input"], target, weight, indexes }).unwrap();
}

pub(crate) fn value(metric: &Meter) -> Vec<f64> {
    match metric.compute().unwrap() {
        Computed::Number(number) => vec![number],
        Computed::Numbers(numbers) => numbers.into_iter().map(|(_, number)| number).collect(),
        Computed::Tensor(tensor) => Vec::try_from(tensor.reshape([-1])).unwrap(),
    }
}

pub(crate) fn expected(case: &Case) -> Vec<f64> {
    let mut numbers = Vec::new();
    flat(&case.value, &mut numbers);
    numbers
}

pub(crate) fn far_off(got: &[f64], expected: &[f64], tolerance: f64) -> bool {
    let close = |(a, b): (&f64, &f64)| {
        (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * b.abs().max(1.0)
    };
    got.len() != expected.len() || !got.iter().zip(expected).all(close)
}

/// A score for each row, in the order of the rows: not the same in another order, or with rows more.
pub(crate) fn is_of_rows(case: &Case) -> bool {
    case.metric["multidim_average"] == "samplewise"
}

/// A small generator: the tests' splits are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}

/// The value after a random split into batches and ranks, each rank saved and restored on the way, merged in a random order.
pub(crate) fn split(case: &Case, parts: &Parts, seed: u64) -> Vec<f64> {
    let mut dice = Dice(seed);
    let fresh = || meter(&case.metric);
    let mut ranks: Vec<Meter> = (0..1 + dice.below(4)).map(|_| fresh()).collect();
    let (mut start, all) = (0, rows(parts));
    while start < all {
        let length = (1 + dice.below(9) as i64).min(all - start);
        let rank = dice.below(ranks.len());
        feed(&mut ranks[rank], &cut(parts, start, length));
        if dice.below(3) == 0 {
            let state = ranks[rank].state();
            ranks[rank] = fresh();
            ranks[rank].load_state(state).unwrap();
        }
        start += length;
    }
    while ranks.len() > 1 {
        let other = ranks.remove(dice.below(ranks.len()));
        let into = dice.below(ranks.len());
        ranks[into].merge(other.state()).unwrap();
    }
    value(&ranks[0])
}
