//! The callback that drives metrics, event by event.
use catena_callbacks::Forward;
use catena_callbacks::metrics::{
    Aggregate, Average, BatchMetric, ClassScore, Combine, ConfusionMatrix, LossSum, Measure, MeasuredTensors,
    Ranking, Statistic, Task,
};
use catena_chain::drive::{Driver, LoaderScope, PassScope, StageScope};
use catena_chain::tensor::batch::Batch;
use catena_chain::tensor::loss::{CrossEntropy, Mse};
use catena_chain::tensor::model::Mode;
use catena_chain::tensor::tch::{Device, Kind, Tensor};
use catena_chain::{Callback, CallbackExt, Event, Flow, Phase, Result, State, on, testing};

const CLASSES: Task = Task::Multiclass(3);

fn batch(rows: i64, shift: i64) -> Batch {
    let x = (Tensor::arange(rows * 4, (Kind::Float, Device::Cpu)) * 0.37 + shift as f64).sin();
    let y = (Tensor::arange(rows, (Kind::Int64, x.device())) + shift).remainder(3);
    Batch::new([("input", x.view([rows, 4])), ("target", y)])
}

fn run_batch(driver: &mut Driver, batch: Batch) {
    driver.enter_batch(batch);
    driver.enter_pass(0).unwrap();
    driver.fire(Event::Forward).unwrap();
    driver.fire(Event::Loss).unwrap();
}

fn start(driver: &mut Driver, name: &str, mode: Mode) {
    driver.enter_loader(LoaderScope::new(name, mode, None));
    driver.fire(Event::LoaderStart).unwrap();
}

fn end(driver: &mut Driver) {
    driver.fire(Event::LoaderEnd).unwrap();
    driver.leave_loader().unwrap();
}

/// Metrics of the batch's input, whose four columns serve as scores: the tiny model's outputs are all the same.
fn all() -> Vec<Box<dyn Callback>> {
    let classes = Task::Multiclass(4);
    let f1 = ClassScore::f1_score(classes).average(Average::None);
    vec![
        Box::new(Forward),
        Box::new(Measure::new(f1).log_as("f1").input("input")),
        Box::new(Measure::new(Ranking::auroc(classes)).input("input")),
        Box::new(Measure::new(ConfusionMatrix::new(classes)).input("input")),
    ]
}

/// Everything that was logged of a loader.
fn logged(driver: &Driver) -> Vec<(String, u64)> {
    let ended = driver.context().metrics.ended().iter();
    ended.map(|(name, value)| (name.clone(), value.to_bits())).collect()
}

#[test]
fn numbers_are_logged_under_the_loaders_name_and_tensors_left_for_loggers() {
    let mut driver = testing::driver(all()).unwrap();
    start(&mut driver, "valid", Mode::Eval);
    run_batch(&mut driver, batch(6, 0));
    run_batch(&mut driver, batch(1, 4));
    end(&mut driver);
    let names: Vec<String> = logged(&driver).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["valid/auroc", "valid/f1/0", "valid/f1/1", "valid/f1/2", "valid/f1/3"]);
    let tensors = driver.context().ext.get::<MeasuredTensors>().unwrap();
    let matrix = &tensors.0["valid/confusion_matrix"];
    assert_eq!(matrix.size(), [4, 4]);
    assert_eq!(matrix.sum(Kind::Double).double_value(&[]), 7.0);
    let declared = driver.chain().members().iter().map(|member| member.about().logs.clone());
    let declared: Vec<Option<Vec<String>>> = declared.collect();
    assert_eq!(declared[1].as_deref().unwrap(), ["f1/0", "f1/1", "f1/2", "f1/3"]);
    assert_eq!(declared[2].as_deref().unwrap(), ["auroc"]);
    assert_eq!(declared[3].as_deref().unwrap(), [""; 0]);

    start(&mut driver, "valid", Mode::Eval);
    end(&mut driver);
    let tensors = driver.context().ext.get::<MeasuredTensors>().unwrap();
    assert!(tensors.0.is_empty(), "nothing was measured this time");
}

#[test]
fn callbacks_after_it_find_the_value_when_the_loader_and_the_epoch_end() {
    let (record, seen) =
        (std::rc::Rc::new(std::cell::RefCell::new(Vec::new())), |value: Option<f64>| value.is_some());
    let (at_loader, at_epoch) = (record.clone(), record.clone());
    let mut driver = testing::driver(vec![
        Box::new(
            on(Event::LoaderEnd, move |cx| {
                at_loader.borrow_mut().push(("loader_end", seen(cx.metrics.so_far("accuracy")?)));
                Ok(Flow::GO)
            })
            .in_phase(Phase::Decide),
        ),
        Box::new(on(Event::EpochEnd, move |cx| {
            at_epoch.borrow_mut().push(("epoch_end", seen(cx.metrics.get("train/accuracy"))));
            Ok(Flow::GO)
        })),
        Box::new(Forward),
        Box::new(Measure::new(ClassScore::accuracy(CLASSES))),
    ])
    .unwrap();
    start(&mut driver, "train", Mode::Train);
    run_batch(&mut driver, batch(6, 0));
    end(&mut driver);
    driver.fire(Event::EpochEnd).unwrap();
    assert_eq!(*record.borrow(), [("loader_end", true), ("epoch_end", true)]);
}

#[test]
fn an_evaluation_in_the_middle_of_a_train_loader_changes_nothing_of_it() {
    let run = |evaluate: bool| {
        let mut driver = testing::driver(all()).unwrap();
        start(&mut driver, "train", Mode::Train);
        run_batch(&mut driver, batch(6, 0));
        if evaluate {
            driver.put_loader_aside();
            start(&mut driver, "valid", Mode::Eval);
            run_batch(&mut driver, batch(5, 1));
            end(&mut driver);
            driver.take_loader_back();
        }
        run_batch(&mut driver, batch(3, 2));
        end(&mut driver);
        logged(&driver).into_iter().filter(|(name, _)| name.starts_with("train/")).collect::<Vec<_>>()
    };
    assert_eq!(run(false).len(), 5);
    assert_eq!(run(false), run(true));
}

#[test]
fn a_loader_that_was_interrupted_goes_on_with_the_same_bits() {
    let straight = || {
        let mut driver = testing::driver(all()).unwrap();
        start(&mut driver, "train", Mode::Train);
        run_batch(&mut driver, batch(6, 0));
        driver
    };
    let finish = |mut driver: Driver| {
        run_batch(&mut driver, batch(4, 1));
        end(&mut driver);
        logged(&driver)
    };
    let killed = straight();
    let states: Vec<State> = killed.chain().members().iter().map(|m| m.callback().state()).collect();
    // the start events of the open scopes fire again, then state is loaded over them
    let mut members = all();
    let mut resumed = testing::driver(Vec::new()).unwrap();
    start(&mut resumed, "train", Mode::Train);
    for (member, state) in members.iter_mut().zip(states) {
        member.on_event(Event::LoaderStart, resumed.context_mut()).unwrap();
        member.load_state(state).unwrap();
    }
    let mut resumed = testing::driver(members).unwrap();
    resumed.enter_loader(LoaderScope::new("train", Mode::Train, None));
    assert_eq!(finish(resumed), finish(straight()));
}

#[test]
fn state_taken_within_an_evaluation_is_that_of_the_loader_around_it() {
    let mut driver = testing::driver(all()).unwrap();
    let json = |driver: &Driver| {
        let state = driver.chain().members()[1].callback().state();
        let bits = state.tensors.iter().map(|(name, tensor)| format!("{name} {tensor:?}"));
        (state.json.to_string(), bits.collect::<Vec<_>>())
    };
    start(&mut driver, "train", Mode::Train);
    run_batch(&mut driver, batch(6, 0));
    let before = json(&driver);
    driver.put_loader_aside();
    start(&mut driver, "valid", Mode::Eval);
    run_batch(&mut driver, batch(5, 1));
    assert_eq!(json(&driver), before);
    end(&mut driver);
    driver.take_loader_back();
    assert_eq!(json(&driver), before);
    end(&mut driver);
    assert_eq!(json(&driver).1, [""; 0]);
}

#[test]
fn a_stage_of_two_passes_is_measured_once_a_batch() {
    let count = || BatchMetric::new("rows", |seen| Ok(seen.input.f_ones_like()?.f_sum(Kind::Double)?));
    let mut driver = testing::driver(vec![
        Box::new(Forward),
        Box::new(Measure::new(Statistic::sum()).log_as("first").without_target().weight("one")),
        Box::new(
            Measure::new(Statistic::sum()).log_as("second").without_target().weight("one").pass("second"),
        ),
        Box::new(Measure::new(count()).pass("third")),
    ])
    .unwrap();
    let pass = |name: &str| PassScope { name: name.into(), optimizer: None };
    let stage = StageScope {
        index: 0,
        name: "gan".into(),
        epochs: 1,
        passes: vec![pass("first"), pass("second")],
        evaluations: Vec::new(),
    };
    driver.enter_stage(stage, Default::default());
    start(&mut driver, "train", Mode::Train);
    let mut two = batch(2, 0);
    two.tensors.insert("one", Tensor::ones([2], (Kind::Double, two.tensors.get("input").unwrap().device())));
    driver.enter_batch(two);
    for pass in [0, 1] {
        driver.enter_pass(pass).unwrap();
        driver.fire(Event::Forward).unwrap();
        if pass == 1 {
            let doubled = driver.context().outputs.get("output").unwrap() * 2.0;
            driver.context_mut().outputs.insert("output", doubled);
        }
        driver.fire(Event::Loss).unwrap();
    }
    end(&mut driver);
    let get = |name: &str| driver.context().metrics.get(name);
    let (first, second) = (get("train/first").unwrap(), get("train/second").unwrap());
    assert!(first != 0.0 && (second - 2.0 * first).abs() < 1e-6, "{first} {second}");
    assert_eq!(get("train/rows"), None);
}

#[test]
fn the_losss_mean_counts_each_batch_by_its_weight() {
    let losses = LossSum::new().add("ce", 1.0, CrossEntropy::new());
    let mut driver = testing::driver(vec![
        Box::new(Forward),
        Box::new(losses),
        Box::new(Measure::of_loss(Statistic::mean())),
    ])
    .unwrap();
    start(&mut driver, "train", Mode::Train);
    run_batch(&mut driver, batch(6, 0));
    run_batch(&mut driver, batch(1, 5));
    end(&mut driver);
    let get = |name: &str| driver.context().metrics.get(name).unwrap();
    assert!((get("train/loss") - get("train/loss/mean")).abs() < 1e-15);
    assert_eq!(get("train/loss"), get("train/ce"));
}

#[test]
fn losses_add_up_and_gradients_flow_through_all_parts() {
    let size = || {
        catena_chain::tensor::loss::from_fn("Size", |o, _| Ok(o.get("output")?.f_square()?.f_mean(None)?))
    };
    type Expected = fn(f64, f64) -> f64;
    let cases: [(LossSum, Expected); 3] = [
        (LossSum::new().add("ce", 1.0, CrossEntropy::new()).add("size", 0.5, size()), |a, b| a + 0.5 * b),
        (LossSum::new().add("ce", 1.0, CrossEntropy::new()).add("size", 3.0, size()).mean(), |a, b| {
            (a + 3.0 * b) / 4.0
        }),
        (
            LossSum::new()
                .add("ce", 1.0, CrossEntropy::new())
                .add("size", 1.0, size())
                .by(|parts| Ok(parts[0].f_mul(&parts[1])?)),
            |a, b| a * b,
        ),
    ];
    for (losses, expected) in cases {
        let mut driver = testing::driver(vec![Box::new(Forward), Box::new(losses)]).unwrap();
        run_batch(&mut driver, batch(6, 0));
        let cx = driver.context_mut();
        let last = |name: &str, cx: &mut catena_chain::Context| cx.metrics.last(name).unwrap().unwrap();
        let (loss, ce, size) = (last("loss", cx), last("ce", cx), last("size", cx));
        assert!((loss - expected(ce, size)).abs() < 1e-6, "{loss} of {ce} and {size}");
        assert!(cx.loss.as_ref().unwrap().value.requires_grad());
    }
    let text = LossSum::new().check().unwrap_err().to_string();
    assert_eq!(text, "`parts` is empty, but must have at least one: `.add(name, weight, loss)`");
    let text = LossSum::new().add("mse", f64::NAN, Mse::new()).check().unwrap_err().to_string();
    assert_eq!(text, "the `weight` of `mse` is NaN, but must be a number");
}

#[test]
fn metrics_become_one_at_the_loaders_end() -> Result<()> {
    let cases: [(Combine, f64); 5] = [
        (Combine::Sum, 5.0),
        (Combine::Mean, 2.5),
        (Combine::WeightedSum(vec![2.0, 1.0]), 6.0),
        (Combine::WeightedMean(vec![2.0, 1.0]), 2.0),
        (Combine::By(Box::new(|x| x[0] * x[1])), 4.0),
    ];
    for (combine, expected) in cases {
        let mut driver = testing::driver(vec![Box::new(Aggregate::new("one", ["a", "b"], combine))])?;
        for (name, value) in [("a", 0.5), ("a", 1.5), ("b", 4.0)] {
            driver.context_mut().log(name, value, catena_chain::Reduce::Mean)?;
        }
        end(&mut driver);
        assert_eq!(driver.context().metrics.get("train/one"), Some(expected));
    }
    let mut driver = testing::driver(vec![Box::new(Aggregate::new("one", ["a", "b"], Combine::Sum))])?;
    driver.context_mut().log("a", 1.0, catena_chain::Reduce::Mean)?;
    let text = driver.fire(Event::LoaderEnd).unwrap_err().to_string();
    assert!(text.ends_with("`one` needs `b`, but the loader has: a"), "{text}");
    let text = Aggregate::new("one", ["a"], Combine::WeightedSum(vec![])).check().unwrap_err().to_string();
    assert_eq!(text, "there are 0 weights for 1 values");
    Ok(())
}

#[test]
fn a_loader_without_a_measured_batch_logs_nothing() {
    let mut driver = testing::driver(all()).unwrap();
    start(&mut driver, "infer", Mode::Infer);
    end(&mut driver);
    assert!(driver.context().metrics.ended().is_empty());
}
