//! NaN is never a rank, labels are checked and never cast, and scores of low precision are the numbers that they are.
mod cases;

use catena_metrics::{
    Average, CalibrationError, ClassScore, Computed, ConfusionMatrix, LogLoss, Meter, Metric, OverQueries,
    Ranking, Retrieval, Seen, Statistic, Task, Thresholds,
};
use catena_tensor::tch::{Kind, Tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

use cases::{Case, Dice, Parts, cut, feed, fixture, is_of_rows, meter, parts, rows, split, value};

const NAN: f64 = f64::NAN;

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// The rows that count: of some weight, and with a target that is not ignored.
fn counted(case: &Case, parts: &Parts) -> Vec<i64> {
    let ignored = case.metric["ignore_index"].as_f64();
    let n = rows(parts);
    let of_row = |part: &Tensor, row: i64| numbers(&part.select(0, row));
    let counts = |row: &i64| {
        let weight = parts.get("weight").is_none_or(|weight| of_row(weight, *row).iter().any(|w| *w != 0.0));
        let target = parts.get("target");
        weight
            && target.is_none_or(|target| {
                let target = of_row(target, *row);
                let counts = |t: &f64| Some(*t) != ignored;
                // each label has a number of its own
                if case.metric["task"] == "multilabel" {
                    target.iter().all(counts)
                } else {
                    target.iter().any(counts)
                }
            })
    };
    (0..n).filter(counts).collect()
}

/// Whether a NaN in one place of a row touches all numbers of the metric.
fn is_whole(case: &Case, parts: &Parts) -> bool {
    let of_columns =
        |name: &str, none: &[&str]| none.contains(&case.metric[name].as_str().unwrap_or_default());
    parts["input"].dim() <= 2
        && case.metric["task"] != "multilabel"
        && !of_columns("multioutput", &["raw_values"])
        && !case.data.starts_with("values_columns")
        && !case.data.starts_with("search_rows")
}

fn with_nan(parts: &Parts, row: i64, place: Option<i64>) -> Parts {
    let spoiled = parts.iter().map(|(name, part)| (name.clone(), part.copy())).collect::<Parts>();
    let of_row = spoiled["input"].select(0, row);
    let mut of_row = match place {
        Some(place) if of_row.dim() > 0 => of_row.select(0, place % of_row.size()[0]),
        _ => of_row,
    };
    let _filled = of_row.fill_(NAN);
    spoiled
}

fn shuffled(parts: &Parts, dice: &mut Dice) -> Parts {
    let mut order: Vec<i64> = (0..rows(parts)).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, dice.below(i + 1));
    }
    let order = Tensor::from_slice(&order).to_device(parts["input"].device());
    parts.iter().map(|(name, part)| (name.clone(), part.index_select(0, &order))).collect()
}

#[test]
fn a_nan_among_the_scores_makes_every_metric_nan_whatever_the_order_of_rows() {
    let fixture = fixture();
    let (mut dice, mut tried) = (Dice(6), std::collections::BTreeSet::new());
    for case in &fixture.cases {
        let parts = parts(&fixture.data[&case.data]);
        let counted = counted(case, &parts);
        if !parts["input"].is_floating_point() || counted.is_empty() || is_of_rows(case) {
            continue;
        }
        tried.insert(case.metric["name"].to_string());
        for round in 0..2 {
            let row = counted[dice.below(counted.len())];
            let place = (round == 1 && is_whole(case, &parts)).then(|| dice.below(64) as i64);
            let spoiled = shuffled(&with_nan(&parts, row, place), &mut dice);
            let mut metric = meter(&case.metric);
            feed(&mut metric, &spoiled);
            let what = format!("{} {} row {row} place {place:?}", case.data, case.metric);
            if metric.compute().is_ok() {
                let got = value(&metric);
                assert!(got.iter().all(|x| x.is_nan()), "{what}: {got:?}");
                assert_eq!(metric.memory().nan_rows().unwrap().0, 1, "{what}");
            }
            // through batches, ranks and states too
            let got = split(case, &spoiled, 1 + dice.below(1000) as u64);
            assert!(got.iter().all(|x| x.is_nan()), "{what}: split {got:?}");
        }
    }
    assert!(tried.len() >= 40, "{tried:?}");
}

#[test]
fn a_nan_touches_the_rows_own_score_alone_where_each_row_has_one() {
    let fixture = fixture();
    for case in fixture.cases.iter().filter(|case| is_of_rows(case)) {
        let parts = parts(&fixture.data[&case.data]);
        let counted = counted(case, &parts);
        let (n, row) = (rows(&parts) as usize, counted[counted.len() / 2]);
        let scores = |parts: &Parts| {
            let mut metric = meter(&case.metric);
            feed(&mut metric, parts);
            value(&metric)
        };
        let (clean, spoiled) = (scores(&parts), scores(&with_nan(&parts, row, None)));
        let width = clean.len() / n;
        for (i, (a, b)) in clean.iter().zip(&spoiled).enumerate() {
            let what = format!("{} {} number {i}", case.data, case.metric);
            if i / width == row as usize {
                assert!(b.is_nan(), "{what}: {b}");
            } else {
                assert_eq!(a.to_bits(), b.to_bits(), "{what}");
            }
        }
    }
}

#[test]
fn a_nan_in_a_labels_score_touches_that_label_and_every_mean() {
    let scores = Tensor::from_slice(&[0.9, 0.2, 0.3, NAN, 0.1, 0.8]).view([2, 3]);
    let target = Tensor::from_slice(&[1i64, 0, 1, 0, 1, 1]).view([2, 3]);
    let task = Task::Multilabel(3);
    let of = |metric: Box<dyn Metric>| {
        let mut metric = Meter::new(metric);
        metric.update(&Seen::new(&scores).target(&target)).unwrap();
        value(&metric)
    };
    let each: Vec<Box<dyn Metric>> = vec![
        Box::new(ClassScore::accuracy(task).average(Average::None)),
        Box::new(ClassScore::f1_score(task).average(Average::None)),
        Box::new(Ranking::auroc(task).average(Average::None)),
        Box::new(Ranking::auroc(task).average(Average::None).thresholds(Thresholds::Number(9))),
    ];
    for metric in each {
        let (name, got) = (metric.name().to_owned(), of(metric));
        assert_eq!(
            got.iter().map(|x| x.is_nan()).collect::<Vec<_>>(),
            [true, false, false],
            "{name}: {got:?}"
        );
    }
    for average in [Average::Micro, Average::Macro, Average::Weighted] {
        let means: Vec<Box<dyn Metric>> = vec![
            Box::new(ClassScore::accuracy(task).average(average)),
            Box::new(ClassScore::jaccard_index(task).average(average)),
            Box::new(ClassScore::balanced_accuracy(task, false)),
            Box::new(Ranking::auroc(task).average(average)),
            Box::new(Ranking::average_precision(task).average(average)),
            Box::new(ConfusionMatrix::matthews_corrcoef(task)),
            Box::new(LogLoss::new(task)),
        ];
        for metric in means {
            let (name, got) = (metric.name().to_owned(), of(metric));
            assert!(got.len() == 1 && got[0].is_nan(), "{name} {average:?}: {got:?}");
        }
    }
    let matrix = of(Box::new(ConfusionMatrix::new(task)));
    assert_eq!(
        matrix.iter().map(|x| x.is_nan()).collect::<Vec<_>>(),
        [[true; 4], [false; 4], [false; 4]].concat()
    );
}

#[test]
fn a_nan_does_not_hide_that_the_others_are_logits() {
    let (scores, target) = (Tensor::from_slice(&[NAN, 3.0, 0.2, 0.4]), Tensor::from_slice(&[1i64, 1, 0, 0]));
    let (scores, target) = (scores.view([2, 2]), target.view([2, 2]));
    let mut metric = Meter::new(ClassScore::accuracy(Task::Multilabel(2)).average(Average::None));
    metric.update(&Seen::new(&scores).target(&target)).unwrap();
    // sigmoid(0.4) is above 0.5, and the target says no
    let got = value(&metric);
    assert!(got[0].is_nan() && got[1] == 0.5, "{got:?}");
}

#[test]
fn values_with_a_nan_have_no_deviation_and_no_extremes() {
    for statistic in
        [Statistic::mean(), Statistic::std(), Statistic::sum(), Statistic::min(), Statistic::max()]
    {
        let mut statistic = Meter::new(statistic);
        statistic.update(&Seen::new(&Tensor::from_slice(&[1.0, NAN]))).unwrap();
        statistic.update(&Seen::new(&Tensor::from_slice(&[5.0, 2.0]))).unwrap();
        let got = statistic.compute().unwrap().number().unwrap();
        assert!(got.is_nan(), "{}: {got}", statistic.metric().name());
        assert_eq!(statistic.memory().nan_rows().unwrap(), (1, 4));
    }
}

#[test]
fn queries_of_which_one_is_nan_have_no_median_and_no_extreme() {
    let scores = Tensor::from_slice(&[0.3, 0.2, NAN, 0.4, 0.9, 0.1]).view([3, 2]);
    let target = Tensor::from_slice(&[1i64, 0, 1, 0, 0, 0]).view([3, 2]);
    for over in [OverQueries::Mean, OverQueries::Median, OverQueries::Min, OverQueries::Max] {
        let mut metric = Meter::new(Retrieval::reciprocal_rank().aggregation(over));
        metric.update(&Seen::new(&scores).target(&target)).unwrap();
        assert!(metric.compute().unwrap().number().unwrap().is_nan(), "{over:?}");
    }
}

proptest! {
    #[test]
    fn scores_with_nans_rank_nothing_however_they_are_ordered_and_signed(
        scores in proptest::collection::vec((0.0..1.0f64, 0..4u8, 0..2i64), 2..30), with in any::<bool>(), logits in any::<bool>(),
    ) {
        let score = |&(score, nan, _): &(f64, u8, i64)| match nan {
            0 if with => NAN.abs(),
            1 if with => -NAN.abs(),
            _ if logits => score * 8.0 - 4.0,
            _ => score,
        };
        let has_nan = with && scores.iter().any(|(_, nan, _)| *nan < 2);
        let target: Vec<i64> = scores.iter().map(|row| row.2).collect();
        let (scores, target) =
            (Tensor::from_slice(&scores.iter().map(score).collect::<Vec<f64>>()), Tensor::from_slice(&target));
        let task = Task::Binary;
        let metrics: Vec<Box<dyn Metric>> = vec![
            Box::new(Ranking::auroc(task)), Box::new(Ranking::auroc(task).thresholds(Thresholds::Number(5))),
            Box::new(Ranking::average_precision(task)), Box::new(ClassScore::accuracy(task)),
            Box::new(ClassScore::support(task)), Box::new(ClassScore::balanced_accuracy(task, true)),
            Box::new(CalibrationError::new(task)), Box::new(LogLoss::new(task)),
            Box::new(ConfusionMatrix::cohen_kappa(task, catena_metrics::KappaWeights::None)),
            Box::new(Retrieval::normalized_dcg()), Box::new(Retrieval::fall_out()), Box::new(Retrieval::hit_rate()),
        ];
        for mut metric in metrics.into_iter().map(Meter::new) {
            metric.update(&Seen::new(&scores).target(&target)).unwrap();
            let got = metric.compute().unwrap().number().unwrap();
            if has_nan {
                prop_assert!(got.is_nan(), "{}: {}", metric.metric().name(), got);
            } else if !["cohen_kappa", "balanced_accuracy"].contains(&metric.metric().name()) {
                prop_assert!(!got.is_nan(), "{}", metric.metric().name());
            }
        }
    }
}

#[test]
fn a_nan_that_counts_nothing_changes_no_bit() {
    let fixture = fixture();
    for case in fixture.cases.iter().filter(|case| !is_of_rows(case)) {
        let clean = parts(&fixture.data[&case.data]);
        if !clean["input"].is_floating_point() {
            continue;
        }
        let like = clean.get("target").unwrap_or(&clean["input"]);
        let n = rows(&clean);
        let ones = Tensor::ones([n], (Kind::Double, like.device()));
        let weight = clean.get("weight").unwrap_or(&ones).shallow_clone();
        let mut with =
            clean.iter().map(|(name, part)| (name.clone(), part.shallow_clone())).collect::<Parts>();
        with.insert("weight".into(), weight.shallow_clone());
        let mut first = meter(&case.metric);
        feed(&mut first, &with);
        let mut second = meter(&case.metric);
        let mut nothing = cut(&with, 0, 2);
        nothing.insert("input".into(), nothing["input"].full_like(NAN));
        nothing.insert("weight".into(), nothing["weight"].zeros_like());
        feed(&mut second, &nothing);
        feed(&mut second, &with);
        let bits = |metric: &Meter| value(metric).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(&first), bits(&second), "{} {}", case.data, case.metric);
        assert_eq!(second.memory().nan_rows().unwrap().0, 0);
    }
}

/// Whether its targets are labels, which must be whole.
fn has_labels(case: &Case, parts: &Parts) -> bool {
    parts.get("target").is_some_and(|target| target.kind() == Kind::Int64)
        && case.metric["name"] != "retrieval_normalized_dcg"
}

#[test]
fn whole_labels_of_any_dtype_give_the_same_bits() {
    let fixture = fixture();
    for case in &fixture.cases {
        let parts = parts(&fixture.data[&case.data]);
        let bits = |parts: &Parts| {
            let mut metric = meter(&case.metric);
            feed(&mut metric, parts);
            value(&metric).into_iter().map(f64::to_bits).collect::<Vec<_>>()
        };
        let expected = bits(&parts);
        let mut kinds = vec![Kind::Double, Kind::Float, Kind::Half, Kind::BFloat16, Kind::Int, Kind::Int16];
        let labels = |(name, part): &(&String, &Tensor)| *name != "input" && part.kind() == Kind::Int64;
        let all: Vec<f64> = parts.iter().filter(labels).flat_map(|(_, part)| numbers(part)).collect();
        if all.is_empty() {
            continue;
        }
        if all.iter().all(|label| *label >= 0.0) {
            kinds.push(Kind::Uint8);
        }
        if all.iter().all(|label| [0.0, 1.0].contains(label)) {
            kinds.push(Kind::Bool);
        }
        for kind in kinds {
            let cast = parts.iter().map(|(name, part)| {
                let part = if labels(&(name, part)) { part.to_kind(kind) } else { part.shallow_clone() };
                (name.clone(), part)
            });
            assert_eq!(bits(&cast.collect()), expected, "{} {} of {kind:?}", case.data, case.metric);
        }
    }
}

#[test]
fn a_label_that_is_no_whole_number_is_refused_by_every_metric_that_has_labels() {
    let fixture = fixture();
    let mut refused = std::collections::BTreeSet::new();
    for case in &fixture.cases {
        let parts = parts(&fixture.data[&case.data]);
        let counted = counted(case, &parts);
        if !has_labels(case, &parts) || counted.is_empty() {
            continue;
        }
        refused.insert(case.metric["name"].as_str().unwrap().to_owned());
        for (wrong, text) in [(0.5, "0.5"), (NAN, "NaN"), (-0.25, "-0.25")] {
            let row = counted[counted.len() / 2];
            let mut with =
                parts.iter().map(|(name, part)| (name.clone(), part.shallow_clone())).collect::<Parts>();
            let target = parts["target"].to_kind(Kind::Double).copy();
            let _filled = target.select(0, row).fill_(wrong);
            with.insert("target".into(), target);
            let mut metric = meter(&case.metric);
            // the row is that of the loader, not of its batch
            feed(&mut metric, &cut(&with, 0, 2));
            feed(&mut metric, &cut(&with, 2, rows(&with) - 2));
            let state = metric.state();
            metric.reset();
            metric.load_state(state).unwrap();
            let got = metric.compute().unwrap_err().to_string();
            let expected = format!("{text} in row {row} is no whole number, and none is made of it");
            assert!(got.contains(&expected), "{} {}: {got}", case.data, case.metric);
        }
    }
    assert!(refused.len() >= 30, "{refused:?}");
}

#[test]
fn flags_indexes_and_decisions_are_checked_as_labels_are() {
    let text = |metric: Value, input: &Tensor, target: &Tensor, indexes: Option<&Tensor>| {
        let mut metric = meter(&metric);
        metric.update(&Seen { input, target: Some(target), weight: None, indexes }).unwrap();
        metric.compute().unwrap_err().to_string()
    };
    let (scores, binary) = (Tensor::from_slice(&[0.9, 0.1, 0.4]), Tensor::from_slice(&[1i64, 0, 1]));
    let halves = Tensor::from_slice(&[0.0, 0.5, 0.0]);
    let map = || json!({"name": "retrieval_average_precision"});
    let why = "in row 1 is no whole number, and none is made of it";
    let rows = " (rows count from 0, in the order in which they came)";
    assert_eq!(text(map(), &scores, &binary, Some(&halves)), format!("query id 0.5 {why}{rows}"));
    assert_eq!(text(map(), &scores, &halves, None), format!("target 0.5 {why}{rows}"));
    assert_eq!(
        text(map(), &scores, &Tensor::from_slice(&[1i64, 0, 2]), None),
        format!(
            "target 2 in row 2 is out of range: targets of `retrieval_average_precision` are 0 or 1{rows}"
        )
    );
    let ndcg = || json!({"name": "retrieval_normalized_dcg"});
    for (gain, said) in [(-1.0, "-1"), (NAN, "NaN"), (f64::INFINITY, "inf")] {
        let gains = Tensor::from_slice(&[gain, 0.5, 2.0]);
        let expected = format!("gain {said} in row 0 is none: a gain is a finite number of at least 0{rows}");
        assert_eq!(text(ndcg(), &scores, &gains, None), expected);
    }
    let embeddings = scores.view([3, 1]);
    let cmc = || json!({"name": "cmc", "top_k": [1]});
    assert_eq!(text(cmc(), &embeddings, &halves, Some(&binary)), format!("identity 0.5 {why}{rows}"));
    assert_eq!(text(cmc(), &embeddings, &binary, Some(&halves)), format!("query flag 0.5 {why}{rows}"));
    assert_eq!(
        text(cmc(), &embeddings, &binary, Some(&Tensor::from_slice(&[1i64, 0, 2]))),
        format!(
            "query flag 2 in row 2 is out of range: 1 says that a row is a query, and 0 that it is of the gallery{rows}"
        )
    );
    let said = Tensor::from_slice(&[1.0, 2.5]).view([1, 2]);
    let heard = Tensor::from_slice(&[1i64, 2]).view([1, 2]);
    for name in ["word_error_rate", "bleu_score"] {
        let got = text(json!({ "name": name }), &said, &heard, None);
        assert!(got.starts_with("token id 2.5 in row 0 is no whole number"), "{got}");
        let got = text(json!({ "name": name }), &heard, &said, None);
        assert!(got.starts_with("token id of a reference 2.5 in row 0 is no whole number"), "{got}");
    }
    let accuracy = json!({"name": "accuracy", "task": "multiclass", "num_classes": 3});
    let got = text(accuracy, &Tensor::from_slice(&[0i64, 1, 5]), &binary, None);
    assert!(got.starts_with("decided label 5 in row 2 is out of range: the output has 3 classes"), "{got}");
}

#[test]
fn the_first_wrong_label_is_named_in_the_order_of_rows_whatever_is_merged() {
    let scores = Tensor::from_slice(&[0.9, 0.1]);
    let fed = |labels: &[[f64; 2]]| {
        let mut metric = Meter::new(ClassScore::accuracy(Task::Binary));
        for labels in labels {
            metric.update(&Seen::new(&scores).target(&Tensor::from_slice(labels))).unwrap();
        }
        metric
    };
    let mut merged = fed(&[[1.0, 0.0], [0.0, 1.0]]);
    merged.merge(fed(&[[0.0, 1.0], [3.0, 0.5]]).state()).unwrap();
    merged.merge(fed(&[[0.25, 1.0]]).state()).unwrap();
    let text = merged.compute().unwrap_err().to_string();
    assert!(text.starts_with("label 3 in row 6 is out of range: the output has 2 classes"), "{text}");
}

#[test]
fn labels_that_count_nothing_may_be_anything() {
    let scores = Tensor::from_slice(&[0.9, 0.1, 0.8]);
    let labels = Tensor::from_slice(&[1.0, NAN, 0.5]);
    let mut metric = Meter::new(ClassScore::accuracy(Task::Binary));
    metric.update(&Seen::new(&scores).target(&labels).weight(&Tensor::from_slice(&[1.0, 0.0, 0.0]))).unwrap();
    assert_eq!(metric.compute().unwrap().number(), Some(1.0));
    let mut metric = Meter::new(ClassScore::accuracy(Task::Binary).ignore_index(-100));
    metric.update(&Seen::new(&scores).target(&Tensor::from_slice(&[1.0f32, -100.0, 1.0]))).unwrap();
    assert_eq!(metric.compute().unwrap().number(), Some(1.0));
    // a byte has no -100, and 156 is none
    let mut metric = Meter::new(ClassScore::accuracy(Task::Multiclass(200)).ignore_index(-100));
    let bytes = Tensor::from_slice(&[156u8, 3, 4]);
    metric.update(&Seen::new(&bytes).target(&bytes)).unwrap();
    let Computed::Number(got) = metric.compute().unwrap() else { unreachable!() };
    assert_eq!((got, metric.state().tensors.len() > 1), (1.0, true));
}

#[test]
fn soft_targets_are_for_the_log_loss_that_says_so() {
    let scores = Tensor::from_slice(&[0.9, 0.2]);
    let soft = Tensor::from_slice(&[0.95, 0.05]);
    let mut loss = Meter::new(LogLoss::new(Task::Binary).soft_targets());
    loss.update(&Seen::new(&scores).target(&soft)).unwrap();
    let of = |t: f64, q: f64| -(t * q.ln() + (1.0 - t) * (1.0 - q).ln());
    let expected = (of(0.95, 0.9) + of(0.05, 0.2)) / 2.0;
    assert!((value(&loss)[0] - expected).abs() < 1e-15);

    let text = |loss: &mut Meter, input: &Tensor, target: &Tensor| {
        loss.reset();
        loss.update(&Seen::new(input).target(target)).unwrap();
        loss.compute().unwrap_err().to_string()
    };
    let got = text(&mut Meter::new(LogLoss::new(Task::Binary)), &scores, &soft);
    assert!(
        got.starts_with(
            "label 0.95 in row 0 is no whole number, and none is made of it; targets that are prob"
        ),
        "{got}"
    );
    let got = text(&mut loss, &scores, &Tensor::from_slice(&[0.5, 1.5]));
    assert!(
        got.starts_with("soft target 1.5 in row 1 is no probability: soft targets are from 0 to 1"),
        "{got}"
    );
    let got = text(&mut loss, &scores, &Tensor::from_slice(&[NAN, 0.5]));
    assert!(got.starts_with("soft target NaN in row 0 is no probability"), "{got}");
    let mut classes = Meter::new(LogLoss::new(Task::Multiclass(3)).soft_targets());
    let thirds = Tensor::from_slice(&[0.2, 0.3, 0.5, 0.1, 0.1, 0.1]).view([2, 3]);
    let got = text(&mut classes, &thirds.softmax(1, Kind::Double), &thirds);
    assert!(got.starts_with("sum of soft targets 0.3"), "{got}");
    let text =
        LogLoss::new(Task::Multiclass(3)).soft_targets().ignore_index(1).check().unwrap_err().to_string();
    assert!(text.starts_with("log_loss: `ignore_index` is 1, but must be none with soft targets"), "{text}");
    let mut narrow = Meter::new(LogLoss::new(Task::Multiclass(3)).soft_targets());
    let text =
        narrow.update(&Seen::new(&thirds).target(&Tensor::from_slice(&[0i64, 1]))).unwrap_err().to_string();
    assert!(text.contains("needs scores and probabilities [n, 3, …]"), "{text}");
}

#[test]
fn soft_targets_that_are_hard_give_the_bits_of_labels() {
    let fixture = fixture();
    let mut tried = 0;
    for case in fixture.cases.iter().filter(|case| case.metric["name"] == "log_loss") {
        let parts = parts(&fixture.data[&case.data]);
        if case.metric["ignore_index"].is_i64() && case.metric["task"] == "multiclass" {
            continue;
        }
        let mut settings = case.metric.clone();
        settings["soft_targets"] = json!(true);
        let (mut hard, mut soft) = (meter(&case.metric), meter(&settings));
        feed(&mut hard, &parts);
        let mut probabilities =
            parts.iter().map(|(name, part)| (name.clone(), part.shallow_clone())).collect::<Parts>();
        let target = &parts["target"];
        let one_hot = match case.metric["num_classes"].as_i64() {
            Some(classes) => target.one_hot(classes).movedim_int(-1, 1),
            None => target.shallow_clone(),
        };
        probabilities.insert("target".into(), one_hot.to_kind(Kind::Double));
        feed(&mut soft, &probabilities);
        assert_eq!(value(&hard)[0].to_bits(), value(&soft)[0].to_bits(), "{}", case.metric);
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
}

#[test]
fn scores_of_low_precision_are_measured_as_the_numbers_that_they_are() {
    let scores = Tensor::from_slice(&(0..64).map(|i| (f64::from(i) * 0.7).sin() * 3.0).collect::<Vec<f64>>());
    let labels = Tensor::from_slice(&(0..64).map(|i| i64::from(i % 3 == 0)).collect::<Vec<i64>>());
    for settings in [
        json!({"name": "accuracy", "task": "binary"}),
        json!({"name": "auroc", "task": "binary"}),
        json!({"name": "auroc", "task": "binary", "thresholds": 200}),
        json!({"name": "average_precision", "task": "binary", "thresholds": [0.1, 0.33, 0.7]}),
        json!({"name": "calibration_error", "task": "binary", "n_bins": 15}),
        json!({"name": "log_loss", "task": "binary", "logits": true}),
        json!({"name": "confusion_matrix", "task": "binary", "threshold": 0.7}),
    ] {
        let bits = |scores: &Tensor| {
            let mut metric = meter(&settings);
            metric.update(&Seen::new(scores).target(&labels)).unwrap();
            value(&metric).into_iter().map(f64::to_bits).collect::<Vec<_>>()
        };
        for kind in [Kind::Half, Kind::BFloat16] {
            let low = scores.to_kind(kind);
            assert_eq!(bits(&low), bits(&low.to_kind(Kind::Float)), "{settings} {kind:?}");
        }
    }
}
