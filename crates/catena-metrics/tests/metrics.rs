//! Every metric against torchmetrics, scikit-learn and scipy (`fixtures/make_metrics.py` made the numbers), however the data
//! is split into batches and ranks.
mod cases;

use std::collections::{BTreeMap, BTreeSet};

use catena_metrics::{BatchMetric, Computed, LoaderMetric, Meter, Metric, Seen, from_value, names};
use catena_tensor::native::observe::{HostReads, Syncs};
use catena_tensor::tch::{Device, Kind, Tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

use cases::{
    Dice, Parts, cut, expected, far_off, feed, fixture, is_of_rows, meter, parts, rows, split, value,
};

#[test]
fn every_metric_has_the_numbers_of_torchmetrics_scikit_learn_and_scipy() {
    let fixture = fixture();
    let data: BTreeMap<&str, Parts> =
        fixture.data.iter().map(|(name, d)| (name.as_str(), parts(d))).collect();
    let mut wrong = Vec::new();
    for case in &fixture.cases {
        let mut metric = meter(&case.metric);
        feed(&mut metric, &data[case.data.as_str()]);
        let (got, expected) = (value(&metric), expected(case));
        if far_off(&got, &expected, 1e-9) {
            wrong.push(format!("{} {}: {got:?}, expected {expected:?}", case.data, case.metric));
        }
    }
    assert!(fixture.cases.len() > 1000);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), fixture.cases.len(), wrong.join("\n"));
}

#[test]
fn no_split_into_batches_and_ranks_changes_a_metric() {
    let fixture = fixture();
    let data: BTreeMap<&str, Parts> =
        fixture.data.iter().map(|(name, d)| (name.as_str(), parts(d))).collect();
    for (case, seed) in fixture.cases.iter().filter(|case| !is_of_rows(case)).zip(1u64..) {
        for again in 0..2 {
            let got = split(case, &data[case.data.as_str()], seed * 2 + again);
            let what = format!("{} {}", case.data, case.metric);
            assert!(!far_off(&got, &expected(case), 1e-9), "{what}: {got:?}, expected {}", case.value);
        }
    }
}

#[test]
fn state_saved_and_restored_in_the_middle_gives_the_same_bits() {
    let fixture = fixture();
    for case in &fixture.cases {
        let parts = parts(&fixture.data[&case.data]);
        let (all, fresh) = (rows(&parts), || meter(&case.metric));
        let pieces = [(0, all / 3), (all / 3, all / 3), (2 * (all / 3), all - 2 * (all / 3))];
        let (mut straight, mut saved) = (fresh(), fresh());
        for (start, length) in pieces {
            feed(&mut straight, &cut(&parts, start, length));
            feed(&mut saved, &cut(&parts, start, length));
            let mut state = saved.state();
            state.json = serde_json::from_str(&state.json.to_string()).unwrap();
            saved = fresh();
            saved.load_state(state).unwrap();
        }
        let bits = |metric: &Meter| value(metric).iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        assert_eq!(bits(&straight), bits(&saved), "{} {}", case.data, case.metric);
    }
}

#[test]
fn no_metric_hands_a_number_to_the_host_before_it_is_computed() {
    let fixture = fixture();
    let closures = || -> [Box<dyn Metric>; 2] {
        let batch = BatchMetric::new("mean", |seen: &Seen| Ok(seen.input.f_mean(Kind::Double)?));
        let loader =
            LoaderMetric::new("first", |all: &Seen| Ok(Computed::Number(all.input.double_value(&[0]))));
        [Box::new(batch), Box::new(loader)]
    };
    let of_fixture = fixture.cases.iter().map(|case| (meter(&case.metric), parts(&fixture.data[&case.data])));
    let of_closures =
        closures().into_iter().map(|metric| (Meter::new(metric), parts(&fixture.data["values"])));
    for (mut metric, parts) in of_fixture.chain(of_closures) {
        let (all, reads) = (rows(&parts), HostReads::start().unwrap());
        feed(&mut metric, &cut(&parts, 0, all / 2));
        feed(&mut metric, &cut(&parts, all / 2, all - all / 2));
        assert_eq!(reads.count(), Syncs::default(), "{}", metric.metric().settings());
    }
}

/// The same data, and after it rows that count nothing and hold nonsense.
fn with_nonsense(parts: &Parts) -> Parts {
    let like = parts.get("target").unwrap_or(&parts["input"]);
    let (size, n) = (like.size(), rows(parts));
    let weight = match parts.get("weight") {
        Some(weight) => weight.shallow_clone(),
        None => Tensor::ones(&size[..1], (Kind::Double, like.device())),
    };
    let mut more = Parts::new();
    for (name, part) in parts {
        let nonsense = part.narrow(0, 0, n.min(5));
        let nonsense = match part.kind() {
            Kind::Double => nonsense.full_like(f64::NAN),
            _ => nonsense.full_like(99),
        };
        more.insert(name.clone(), Tensor::cat(&[part, &nonsense], 0));
    }
    let nothing = weight.narrow(0, 0, n.min(5)).zeros_like();
    more.insert("weight".into(), Tensor::cat(&[weight, nothing], 0));
    more
}

#[test]
fn what_counts_nothing_may_be_anything() {
    let fixture = fixture();
    for case in fixture.cases.iter().filter(|case| !is_of_rows(case)) {
        let mut metric = meter(&case.metric);
        feed(&mut metric, &with_nonsense(&parts(&fixture.data[&case.data])));
        let (got, what) = (value(&metric), format!("{} {}", case.data, case.metric));
        assert!(!far_off(&got, &expected(case), 1e-9), "{what}: {got:?}, expected {}", case.value);
    }
}

#[test]
fn a_batch_without_rows_changes_nothing() {
    let fixture = fixture();
    for case in &fixture.cases {
        let parts = parts(&fixture.data[&case.data]);
        let mut metric = meter(&case.metric);
        for (start, length) in [(0, 0), (0, rows(&parts)), (0, 0)] {
            feed(&mut metric, &cut(&parts, start, length));
        }
        let (got, what) = (value(&metric), format!("{} {}", case.data, case.metric));
        assert!(!far_off(&got, &expected(case), 1e-9), "{what}: {got:?}, expected {}", case.value);
    }
}

#[test]
fn settings_are_data_and_come_back() {
    let fixture = fixture();
    let mut seen = BTreeSet::new();
    for case in &fixture.cases {
        let metric = from_value(case.metric.clone()).unwrap();
        let settings = metric.settings();
        assert_eq!(from_value(settings.clone()).unwrap().settings(), settings);
        seen.insert(case.metric["name"].as_str().unwrap().to_owned());
        for (name, value) in case.metric.as_object().unwrap() {
            let is_kept_as_it_is = !["squared", "validate_args"].contains(&name.as_str()) && !value.is_null();
            if is_kept_as_it_is && (name != "average" || value != "none") {
                let kept = if metric.name() == "root_mean_squared_error" && name == "name" {
                    value
                } else {
                    &settings[name]
                };
                assert_eq!(kept, value, "{}: {name}", case.metric);
            }
        }
    }
    let unseen: Vec<&str> = names().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "no case is about {unseen:?}");
}

#[test]
fn wrong_settings_are_refused_with_a_sentence() {
    for (settings, text) in [
        (
            json!({"name": "f2_score"}),
            "metric: unknown name `f2_score`, expected one of `accuracy`, `auroc`,",
        ),
        (json!({"task": "binary"}), "metric: missing field `name`, one of `accuracy`,"),
        (json!(3), "metric: an object is needed, such as {\"name\": \"mean\"}, but this is 3"),
        (json!({"name": "accuracy"}), "accuracy: `task` must be binary, multiclass or multilabel"),
        (json!({"name": "accuracy", "task": "multiclass"}), "accuracy: task multiclass needs `num_classes`"),
        (
            json!({"name": "accuracy", "task": "binary", "treshold": 0.4}),
            "accuracy: unknown field `treshold`, expected one of `num_classes`, `num_labels`, `task`,",
        ),
        (
            json!({"name": "accuracy", "task": "binary", "threshold": 4}),
            "accuracy: `threshold` is 4, but must be in [0, 1]",
        ),
        (
            json!({"name": "accuracy", "task": "multiclass", "num_classes": 3, "top_k": 4}),
            "accuracy: `top_k` is 4, but must be from 1 to 3 with Multiclass(3)",
        ),
        (
            json!({"name": "auroc", "task": "multiclass", "num_classes": 3, "average": "micro"}),
            "auroc: `average` is micro, but must be macro, weighted or none with classes",
        ),
        (
            json!({"name": "recall", "task": "binary", "average": "mean"}),
            "recall: `average`: unknown variant `mean`, expected one of `micro`, `macro`, `weighted`, `none`",
        ),
        (
            json!({"name": "bleu_score", "n_gram": 2, "weights": [1.0]}),
            "bleu_score: `weights` is 1, but must be 2 numbers",
        ),
    ] {
        let got = from_value(settings).unwrap_err().to_string();
        assert!(got.starts_with(text), "{got}");
    }
}

#[test]
fn a_label_out_of_range_is_an_error_of_compute_that_names_it() {
    let labels = Tensor::from_slice(&[0i64, 7, 1]);
    let scores = Tensor::from_slice(&[0.2, 0.3, 0.5]).repeat([3, 1]);
    for name in ["accuracy", "confusion_matrix", "auroc", "log_loss", "calibration_error"] {
        let mut metric = meter(&json!({"name": name, "task": "multiclass", "num_classes": 3}));
        metric.update(&Seen::new(&scores).target(&labels)).unwrap();
        let text = metric.compute().unwrap_err().to_string();
        assert_eq!(
            text,
            "label 7 in row 1 is out of range: the output has 3 classes, so labels go from 0 to 2 (rows count from 0, in the \
             order in which they came)",
            "{name}"
        );
    }
    let mut metric = meter(&json!({"name": "perplexity"}));
    metric.update(&Seen::new(&scores).target(&Tensor::from_slice(&[0i64, -1, 1]))).unwrap();
    assert!(metric.compute().unwrap_err().to_string().starts_with("label -1 in row 1 is out of range"));
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_a_sentence() {
    let (wide, long) =
        (Tensor::zeros([4, 3], (Kind::Double, Device::Cpu)), Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
    for (settings, input, target, text) in [
        (
            json!({"name": "accuracy", "task": "multiclass", "num_classes": 5}),
            &wide,
            &long,
            "the input of shape [4, 3] doesn't fit: with a target of shape [4], Multiclass(5) needs scores [4, 5]",
        ),
        (
            json!({"name": "accuracy", "task": "binary"}),
            &wide,
            &long,
            "the input of shape [4, 3] doesn't fit: with a target of shape [4], Binary needs [4], the target's shape",
        ),
        (
            json!({"name": "auroc", "task": "binary"}),
            &long,
            &long,
            "the input of shape [4] doesn't fit: auroc needs scores, but this is Int64",
        ),
        (
            json!({"name": "mean_squared_error"}),
            &wide,
            &long,
            "the target of shape [4] doesn't fit: the input has shape [4, 3], and the two must be equal",
        ),
    ] {
        let mut metric = meter(&settings);
        let text_of = metric.update(&Seen::new(input).target(target)).unwrap_err().to_string();
        assert_eq!(text_of, text);
    }
    let mut metric = meter(&json!({"name": "r2_score"}));
    let text = metric.update(&Seen::new(&wide)).unwrap_err().to_string();
    assert_eq!(text, "no tensor is named `target`; there are: input");
    let short = Tensor::from_slice(&[1.0, 1.0]);
    let text = metric.update(&Seen::new(&wide).target(&wide).weight(&short)).unwrap_err().to_string();
    let expected = "the weight of shape [2] doesn't fit: the target has shape [4, 3], so weights need it too, or its first part";
    assert_eq!(text, expected);
}

#[test]
fn half_precision_scores_are_measured_too() {
    let scores = Tensor::from_slice(&[0.9, 0.2, 0.6, 0.4]);
    let labels = Tensor::from_slice(&[1i64, 0, 0, 1]);
    for name in
        ["accuracy", "auroc", "average_precision", "log_loss", "calibration_error", "confusion_matrix"]
    {
        let of = |kind: Kind| {
            let mut metric = meter(&json!({"name": name, "task": "binary"}));
            metric.update(&Seen::new(&scores.to_kind(kind)).target(&labels)).unwrap();
            value(&metric)
        };
        for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
            assert!(!far_off(&of(kind), &of(Kind::Double), 5e-3), "{name} {kind:?}");
        }
    }
}

/// Two values and two labels.
type Item = (f64, f64, i64, i64);

/// Items, the lengths of batches, the rank of each batch, and a seed for the order of merging.
type Split = (Vec<Item>, Vec<usize>, Vec<usize>, u64);

fn any_split() -> impl Strategy<Value = Split> {
    let item = (-1e3..1e3f64, -1e3..1e3f64, 0..4i64, 0..4i64);
    (
        proptest::collection::vec(item, 2..120),
        proptest::collection::vec(1..40usize, 1..60),
        proptest::collection::vec(0..5usize, 60),
        any::<u64>(),
    )
}

proptest! {
    #[test]
    fn any_split_and_any_merge_order_agree_to_1e_12_and_counts_exactly((items, lengths, ranks, seed) in any_split()) {
        let n = items.len();
        let column = |of: fn(&Item) -> f64| items.iter().map(of).collect::<Vec<f64>>();
        let (x, y) = (Tensor::from_slice(&column(|i| i.0 + 1e5)), Tensor::from_slice(&column(|i| i.1 + i.0 * 0.1)));
        let decided = Tensor::from_slice(&items.iter().map(|i| i.2).collect::<Vec<i64>>());
        let labels = Tensor::from_slice(&items.iter().map(|i| i.3).collect::<Vec<i64>>());
        let scores = (&y / 1e3).sigmoid();
        let logits = Tensor::stack(&[&y, &x.sin(), &y.cos(), &scores], 1);
        let weight = Tensor::from_slice(&column(|i| (i.0.abs() / 300.0).floor() / 3.0));
        let binary = labels.remainder(2);
        let (said, heard) =
            (Tensor::stack(&[&decided, &labels, &decided], 1), Tensor::stack(&[&decided, &decided, &labels], 1));
        let classes = json!({"task": "multiclass", "num_classes": 4});
        let of = |name: &str, more: &Value| {
            let mut settings = more.clone();
            settings["name"] = json!(name);
            settings
        };
        let plain = |name: &str| json!({ "name": name });
        let yes_no = json!({"task": "binary"});
        let all: Vec<(Value, &Tensor, &Tensor, bool)> = vec![
            (of("confusion_matrix", &classes), &decided, &labels, true),
            (of("support", &classes), &logits, &labels, true),
            (of("confusion_matrix", &yes_no), &scores, &binary, true),
            (of("f1_score", &classes), &logits, &labels, false),
            (of("log_loss", &classes), &logits, &labels, false),
            (of("calibration_error", &classes), &logits, &labels, false),
            (of("auroc", &yes_no), &scores, &binary, false),
            (of("auroc", &json!({"task": "binary", "thresholds": 9})), &scores, &binary, false),
            (of("average_precision", &classes), &logits, &labels, false),
            (plain("mean_squared_error"), &x, &y, false),
            (plain("mean_absolute_error"), &x, &y, false),
            (plain("r2_score"), &y, &x, false),
            (plain("pearson_corrcoef"), &x, &y, false),
            (plain("spearman_corrcoef"), &x, &y, false),
            (plain("std"), &x, &y, false),
            (plain("mean"), &x, &y, false),
            (plain("perplexity"), &logits, &labels, false),
            (of("log_loss", &classes), &logits, &labels, false),
            (of("balanced_accuracy", &classes), &decided, &labels, true),
            (of("support", &classes), &decided, &labels, true),
            (of("tversky_index", &classes), &decided, &labels, true),
            (plain("min"), &x, &y, true),
            (plain("max"), &x, &y, true),
            (plain("mean_absolute_percentage_error"), &x, &y, false),
            (plain("retrieval_average_precision"), &scores, &binary, false),
            (plain("retrieval_normalized_dcg"), &scores, &labels, false),
            (json!({"name": "bleu_score", "n_gram": 2}), &said, &heard, true),
            (plain("word_error_rate"), &said, &heard, true),
        ];
        let mut dice = Dice(seed);
        for (settings, input, target, counts) in all {
            for weight in [None, Some(&weight)] {
                let mut whole = meter(&settings);
                let mut split: Vec<Meter> = (0..5).map(|_| meter(&settings)).collect();
                whole.update(&Seen { input, target: Some(target), weight, indexes: None }).unwrap();
                let (mut start, mut batch) = (0, 0);
                while start < n {
                    let length = lengths[batch % lengths.len()].min(n - start);
                    let part = |of: &Tensor| of.narrow(0, start as i64, length as i64);
                    let (input, target, weight) = (part(input), part(target), weight.map(part));
                    let seen = Seen { input: &input, target: Some(&target), weight: weight.as_ref(), indexes: None };
                    split[ranks[batch % ranks.len()]].update(&seen).unwrap();
                    (start, batch) = (start + length, batch + 1);
                }
                while split.len() > 1 {
                    let other = split.remove(dice.below(split.len()));
                    let into = dice.below(split.len());
                    split[into].merge(other.state()).unwrap();
                }
                let (got, expected) = (value(&split[0]), value(&whole));
                if counts && weight.is_none() {
                    prop_assert_eq!(&got, &expected, "{}", settings);
                }
                prop_assert!(!far_off(&got, &expected, 1e-12), "{}: {:?}, in one piece {:?}", settings, got, expected);
            }
        }
    }
}
