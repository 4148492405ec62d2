//! `Accuracy` follows the rule of `ClassScore`: one number, however it is asked for.
use catena_callbacks::Accuracy;
use catena_callbacks::metrics::{ClassScore, Meter, Seen, Task};
use catena_chain::drive::{Driver, LoaderScope};
use catena_chain::tensor::batch::Batch;
use catena_chain::tensor::model::Mode;
use catena_chain::tensor::native::observe::{HostReads, Syncs};
use catena_chain::tensor::tch::{Kind, Tensor};
use catena_chain::{Callback, Event, State, testing};
use proptest::prelude::*;

fn start(driver: &mut Driver, name: &str) {
    driver.enter_loader(LoaderScope::new(name, Mode::Eval, None));
    driver.fire(Event::LoaderStart).unwrap();
}

fn feed(driver: &mut Driver, scores: &Tensor, labels: &Tensor) {
    driver.enter_batch(Batch::new([("input", scores.shallow_clone()), ("target", labels.shallow_clone())]));
    driver.enter_pass(0).unwrap();
    driver.context_mut().outputs.insert("output", scores.shallow_clone());
    driver.fire(Event::Loss).unwrap();
}

fn end(driver: &mut Driver) -> Result<(), String> {
    driver.fire(Event::LoaderEnd).map_err(|error| error.to_string())?;
    driver.leave_loader().map_err(|error| error.to_string())
}

/// Of four rows, the first two right.
fn scores() -> Tensor {
    Tensor::from_slice(&[9f32, 0., 0., 0., 9., 0., 0., 0., 9., 9., 0., 0.]).view([4, 3])
}

fn over_a_loader(accuracy: Accuracy, batches: &[(Tensor, Tensor)]) -> Result<f64, String> {
    let mut driver = testing::driver(vec![Box::new(accuracy)]).unwrap();
    start(&mut driver, "valid");
    batches.iter().for_each(|(scores, labels)| feed(&mut driver, scores, labels));
    end(&mut driver)?;
    Ok(driver.context().metrics.get("valid/accuracy@1").unwrap())
}

#[test]
fn an_ignored_label_is_left_out_and_any_other_that_is_no_class_is_refused() {
    let labels = |labels: [i64; 4]| vec![(scores(), Tensor::from_slice(&labels))];
    let ignoring = || Accuracy::new().ignore_index(-100);
    assert_eq!(over_a_loader(Accuracy::new(), &labels([0, 1, 0, 0])), Ok(0.75));
    assert_eq!(over_a_loader(ignoring(), &labels([0, 1, -100, -100])), Ok(1.0));
    let refused = |accuracy, batches: &[(Tensor, Tensor)], text: &str| {
        let got = over_a_loader(accuracy, batches).unwrap_err();
        assert!(got.contains(text), "{got}");
    };
    refused(
        Accuracy::new(),
        &labels([0, 1, -100, -100]),
        "label -100 in row 2 is out of range: the output has 3 classes",
    );
    refused(
        Accuracy::new(),
        &labels([0, 1, -100, -100]),
        "to leave a label out, name it with `ignore_index`",
    );
    refused(ignoring(), &labels([0, 1, 7, 7]), "label 7 in row 2 is out of range: the output has 3 classes");
    let two = labels([0, 1, 2, 0]).into_iter().chain(labels([0, 3, 7, 7])).collect::<Vec<_>>();
    refused(Accuracy::new(), &two, "label 3 in row 5 is out of range");
    let soft = Tensor::from_slice(&[0.95, 1.0, 2.0, 0.0]);
    refused(Accuracy::new(), &[(scores(), soft)], "label 0.95 in row 0 is no whole number");
}

#[test]
fn a_mean_over_batches_counts_each_by_its_labels_that_count() {
    let labels = |labels: [i64; 4]| (scores(), Tensor::from_slice(&labels));
    let batches = [labels([0, -1, -1, -1]), labels([1, 1, 1, 1]), labels([-1, -1, -1, -1])];
    assert_eq!(over_a_loader(Accuracy::new().ignore_index(-1), &batches), Ok(2.0 / 5.0));
    assert!(over_a_loader(Accuracy::new().ignore_index(-1), &batches[2..]).unwrap().is_nan());
}

#[test]
fn outputs_that_are_nan_decide_for_nothing() {
    let spoiled = scores();
    let _filled = spoiled.select(0, 3).select(0, 0).fill_(f64::NAN);
    let right = Tensor::from_slice(&[0i64, 1, 2, 0]);
    let batches = [
        (scores(), right.shallow_clone()),
        (spoiled, right),
        (scores(), Tensor::from_slice(&[0i64, 1, 2, 0])),
    ];
    assert!(over_a_loader(Accuracy::new(), &batches).unwrap().is_nan());
    assert_eq!(over_a_loader(Accuracy::new(), &batches[..1]), Ok(1.0));
    // a row that counts nothing may be anything
    let ignored = [(batches[1].0.shallow_clone(), Tensor::from_slice(&[0i64, 1, 2, -1]))];
    assert_eq!(over_a_loader(Accuracy::new().ignore_index(-1), &ignored), Ok(1.0));
}

#[test]
fn nothing_is_read_before_the_loaders_end() {
    let accuracy = Accuracy::new().top_k([1, 2]).ignore_index(1);
    let mut driver = testing::driver(vec![Box::new(accuracy)]).unwrap();
    start(&mut driver, "valid");
    let (scores, labels) = (scores(), Tensor::from_slice(&[0i64, 1, 2, 0]));
    let reads = HostReads::start().unwrap();
    feed(&mut driver, &scores, &labels);
    feed(&mut driver, &scores, &labels);
    assert_eq!(reads.count(), Syncs::default());
}

#[test]
fn what_is_wrong_is_known_after_a_resume_and_an_evaluation_in_between() {
    let bad = Tensor::from_slice(&[0i64, 5, 2, 0]);
    let mut driver = testing::driver(vec![Box::new(Accuracy::new())]).unwrap();
    start(&mut driver, "train");
    feed(&mut driver, &scores(), &bad);
    driver.put_loader_aside();
    start(&mut driver, "valid");
    feed(&mut driver, &scores(), &Tensor::from_slice(&[0i64, 1, 2, 0]));
    end(&mut driver).unwrap();
    driver.take_loader_back();
    let State { json, tensors, .. } = driver.chain().members()[0].callback().state();
    let mut resumed = Accuracy::new();
    resumed
        .load_state(State {
            json: serde_json::from_str(&json.to_string()).unwrap(),
            tensors,
            ..State::none()
        })
        .unwrap();
    assert!(end(&mut driver).unwrap_err().contains("label 5 in row 1 is out of range"));
    let mut again = testing::driver(vec![Box::new(resumed)]).unwrap();
    again.enter_loader(LoaderScope::new("train", Mode::Train, None));
    feed(&mut again, &scores(), &Tensor::from_slice(&[0i64, 1, 2, 0]));
    assert!(end(&mut again).unwrap_err().contains("label 5 in row 1 is out of range"));
    // a snapshot of before there was a state
    Accuracy::new().load_state(State::none()).unwrap();
}

proptest! {
    #[test]
    fn it_is_the_accuracy_of_class_score(
        rows in proptest::collection::vec((proptest::array::uniform4(-3.0..3.0f64), -1..4i64), 1..60), batch in 1..20usize, k in 1..5i64,
    ) {
        let mut score = Meter::new(ClassScore::accuracy(Task::Multiclass(4)).top_k(k).ignore_index(-1));
        let mut driver = testing::driver(vec![Box::new(Accuracy::new().top_k([k]).ignore_index(-1))]).unwrap();
        start(&mut driver, "valid");
        for rows in rows.chunks(batch) {
            let scores = Tensor::from_slice(&rows.iter().flat_map(|row| row.0).collect::<Vec<f64>>()).view([-1, 4]);
            let labels = Tensor::from_slice(&rows.iter().map(|row| row.1).collect::<Vec<i64>>());
            score.update(&Seen::new(&scores).target(&labels)).unwrap();
            feed(&mut driver, &scores, &labels.to_kind(Kind::Int));
        }
        end(&mut driver).unwrap();
        let got = driver.context().metrics.get(&format!("valid/accuracy@{k}")).unwrap();
        let expected = score.compute().unwrap().number().unwrap();
        // without a label that counts ClassScore has its `zero_division`
        if rows.iter().any(|row| row.1 >= 0) {
            prop_assert!((got - expected).abs() < 1e-14, "{} {}", got, expected);
        } else {
            prop_assert!(got.is_nan());
        }
    }
}
