//! Losses that add up: in what precision, and by which weight.
use catena_callbacks::metrics::LossSum;
use catena_chain::tensor::loss::{self, CrossEntropy};
use catena_chain::tensor::tch::{Kind, Tensor};
use catena_chain::{Event, testing};

#[test]
fn parts_of_low_precision_add_up_in_f32() {
    let part =
        |value: f64| loss::from_fn("part", move |_, _| Ok(Tensor::from(value).f_to_kind(Kind::BFloat16)?));
    let losses = LossSum::new().add("large", 1.0, part(256.0)).add("small", 0.5, part(1.0));
    let mut driver = testing::driver(vec![Box::new(losses)]).unwrap();
    driver.fire(Event::Loss).unwrap();
    let loss = driver.context().loss.as_ref().unwrap();
    assert_eq!((loss.value.kind(), loss.value.double_value(&[])), (Kind::Float, 256.5));
}

#[test]
fn a_part_that_counts_nothing_adds_nothing() {
    let one = || loss::from_fn("one", |_, _| Ok(Tensor::from(1f32)));
    let ignoring = || CrossEntropy::new().ignore_index(1);
    for (losses, expected) in [
        (LossSum::new().add("ce", 1.0, ignoring()).add("one", 3.0, one()), Some(3.0)),
        (LossSum::new().add("one", 3.0, one()).add("ce", 1.0, ignoring()), Some(3.0)),
        (LossSum::new().add("ce", 1.0, ignoring()), None),
    ] {
        let mut driver = testing::driver(vec![Box::new(losses)]).unwrap();
        driver.enter_batch(testing::tiny_batch(2));
        let cx = driver.context_mut();
        cx.batch.tensors.insert("target", Tensor::from_slice(&[1i64, 1]));
        cx.outputs.insert("output", Tensor::from_slice(&[0.2f32, 0.8, 0.1, 0.5]).view([2, 2]));
        driver.fire(Event::Loss).unwrap();
        let loss = driver.context().loss.as_ref().unwrap();
        match expected {
            Some(expected) => assert_eq!((loss.value.double_value(&[]), loss.weight), (expected, 2.0)),
            None => assert_eq!(loss.weight, 0.0),
        }
    }
}
