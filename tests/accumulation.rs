//! Accumulated micro-batches equal one batch of their union, whatever their sizes and weights.
use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::data::Start;
use catena::tensor::loss;
use catena::tensor::rng::Exclusive;
use proptest::prelude::*;

/// Batches of consecutive rows, of these sizes.
struct Sizes(Vec<i64>, usize);

impl Loader for Sizes {
    fn batches(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.1 = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        let Some(&size) = self.0.get(self.1) else { return Ok(None) };
        let begin: i64 = self.0[..self.1].iter().sum();
        self.1 += 1;
        let rows = Tensor::arange_start(begin, begin + size, (Kind::Double, Device::Cpu));
        let x = (rows.view([size, 1]) * 4.0 + Tensor::arange(4, (Kind::Double, Device::Cpu))) * 0.37;
        // how many tokens a sample has: some have none
        let tokens = rows.remainder(4.0);
        let weight = if size == 0 { 0.0 } else { tokens.sum(Kind::Double).double_value(&[]) };
        Ok(Some(Batch::new([("input", x.sin()), ("tokens", tokens)]).weight(weight)))
    }
}

fn model() -> Net {
    let model = tiny_model();
    let mut vs = Model::var_store(&model).variables();
    for (_, tensor) in vs.iter_mut() {
        let double = tensor.detach().to_kind(Kind::Double);
        tensor.set_data(&double);
    }
    model
}

/// Trains on batches of these sizes, and gives the parameters.
fn train(sizes: Vec<i64>, by_token: bool, accumulate: Option<Accumulate>) -> Vec<f64> {
    let by_sample =
        loss::from_fn("squares", |outputs, _| Ok(outputs.get("output")?.f_square()?.f_mean(Kind::Double)?));
    struct ByToken;
    impl LossFn for ByToken {
        fn loss(&mut self, outputs: &Outputs, batch: &Batch) -> catena::Result<Loss> {
            let each = (outputs.get("output")? - 1.0).f_square()?.f_sum_dim_intlist(
                [1i64].as_slice(),
                false,
                Kind::Double,
            )?;
            // the mean over tokens is NaN for a micro-batch without any, as torch's is
            let tokens = batch.get("tokens")?;
            Ok(Loss::new((each * tokens).f_sum(Kind::Double)? / batch.weight, batch.weight))
        }
        fn name(&self) -> &str {
            "by token"
        }
    }
    let samples = move |batch: &mut Batch| batch.weight = batch.samples() as f64;
    let mut stage =
        Stage::new("train").epochs(2).train(Sizes(sizes, 0)).optimizer(Sgd::new(0.05).momentum(0.9));
    stage = if by_token {
        stage.loss(ByToken)
    } else {
        stage.loss(by_sample).callback(
            on(Event::BatchStart, move |cx| {
                samples(&mut cx.batch);
                Ok(Flow::GO)
            })
            .in_phase(Phase::Input),
        )
    };
    if let Some(accumulate) = accumulate {
        stage = stage.callback(accumulate);
    }
    let mut runner = Runner::builder(model()).stage(stage).build().unwrap();
    runner.run().unwrap();
    let variables = runner.model().var_store().variables();
    ["fc.weight", "fc.bias"]
        .iter()
        .flat_map(|name| Vec::<f64>::try_from(variables[*name].flatten(0, -1)).unwrap())
        .collect()
}

/// The sizes of the windows' unions.
fn unions(sizes: &[i64], n: usize) -> Vec<i64> {
    sizes.chunks(n).map(|window| window.iter().sum()).collect()
}

fn assert_equal(accumulated: &[f64], whole: &[f64]) -> Result<(), TestCaseError> {
    for (a, b) in accumulated.iter().zip(whole) {
        prop_assert!((a - b).abs() <= 1e-11, "{a} and {b}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_windows_equal_one_big_batch_by_sample(sizes in prop::collection::vec(1i64..7, 1..9), n in 1usize..5) {
        let _exclusive = Exclusive::wait();
        let whole = train(unions(&sizes, n), false, None);
        assert_equal(&train(sizes, false, Some(Accumulate::new(n as u64))), &whole)?;
    }

    #[test]
    fn random_windows_equal_one_big_batch_by_token(sizes in prop::collection::vec(1i64..7, 1..9), n in 1usize..5) {
        let _exclusive = Exclusive::wait();
        // a union without tokens has no mean; the window that has none is skipped, as is the batch
        let whole = train(unions(&sizes, n), true, Some(Accumulate::new(1)));
        assert_equal(&train(sizes, true, Some(Accumulate::new(n as u64))), &whole)?;
    }
}

#[test]
fn the_window_can_grow_from_an_epoch_on() {
    let _exclusive = Exclusive::wait();
    let stage = Stage::new("train")
        .epochs(4)
        .train(Sizes(vec![2; 6], 0))
        .loss(loss::from_fn("squares", |outputs, _| {
            Ok(outputs.get("output")?.f_square()?.f_mean(Kind::Double)?)
        }))
        .optimizer(Sgd::new(0.05))
        .callback(Accumulate::new(1).from_epoch(2, 2).from_epoch(4, 6));
    let report = Runner::builder(model()).stage(stage).build().unwrap().run().unwrap();
    assert_eq!(report.steps, 6 + 3 + 3 + 1);
}

#[test]
fn a_power_of_two_of_equal_micro_batches_is_the_plain_loop_to_the_bit() {
    let _exclusive = Exclusive::wait();
    // the plain loop divides each loss by n and lets the gradients add up
    let divided = |n: u64| {
        on(Event::Loss, move |cx| {
            cx.loss_scale = 1.0 / n as f64;
            Ok(Flow::GO)
        })
    };
    for n in [2, 4] {
        let accumulated = train(vec![3; 8], false, Some(Accumulate::new(n)));
        let stage = Stage::new("train")
            .epochs(2)
            .train(Sizes(vec![3; 8], 0))
            .optimizer(Sgd::new(0.05).momentum(0.9))
            .loss(loss::from_fn("squares", |outputs, _| {
                Ok(outputs.get("output")?.f_square()?.f_mean(Kind::Double)?)
            }))
            .callback(Accumulate::sum(n))
            .callback(divided(n));
        let mut runner = Runner::builder(model()).stage(stage).build().unwrap();
        runner.run().unwrap();
        let variables = runner.model().var_store().variables();
        let plain: Vec<f64> = ["fc.weight", "fc.bias"]
            .iter()
            .flat_map(|name| Vec::<f64>::try_from(variables[*name].flatten(0, -1)).unwrap())
            .collect();
        assert_eq!(accumulated, plain);
    }
}

#[test]
fn what_is_heard_every_so_many_steps_hears_whole_windows() {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = catena::chain::testing::Recorder::new();
    let heard = recorder.with_place().only(Mode::Train).every(Every::Steps(2));
    let stage = Stage::new("train")
        .train(tiny_loader(14, 1))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.05))
        .callback(Accumulate::new(3))
        .callback(GradNorms::new().every(Every::Steps(2)))
        .callback(heard);
    let report = Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap();
    assert_eq!(report.steps, 5);
    let steps: Vec<String> = record.events().into_iter().filter(|event| event.starts_with("step")).collect();
    assert_eq!(steps, ["step train 9", "step train 14"], "the third step and the fifth");
    let batches = record.events().iter().filter(|event| event.starts_with("batch_end")).count();
    assert_eq!(batches, 3 + 2);
    assert!(report.metrics.contains_key("train/grad_norm/fc.weight"));
}

#[test]
fn a_loss_that_is_nan_drops_its_window_and_a_new_one_begins_behind_it() {
    let _exclusive = Exclusive::wait();
    let inputs = (Tensor::arange(24, (Kind::Float, Device::Cpu)) * 0.37).sin().view([6, 4]);
    let labels = Tensor::from_slice(&[0i64, 1, 2, 0, 1, 2]);
    let train = |inputs: &Tensor, rows: &[i64]| {
        let rows = Tensor::from_slice(rows);
        let loader =
            TensorLoader::new(&inputs.index_select(0, &rows), &labels.index_select(0, &rows), 1).unwrap();
        let stage = Stage::new("train").train(loader).loss(CrossEntropy::new()).optimizer(Sgd::new(0.5));
        let mut runner = Runner::builder(tiny_model())
            .stage(stage)
            .callback(Accumulate::new(4))
            .callback(NanGuard::new().on_nan(OnNan::SkipStep))
            .build()
            .unwrap();
        let steps = runner.run().unwrap().steps;
        let mut variables: Vec<(String, Vec<f32>)> = runner
            .model()
            .var_store()
            .variables()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.flatten(0, -1).try_into().unwrap()))
            .collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        (steps, variables)
    };
    let spoilt = inputs.copy();
    let _filled = spoilt.get(1).fill_(f64::NAN);
    // rows 0 and 1 were in the window that row 1 spoils; 2 to 5 are the next
    assert_eq!(train(&spoilt, &[0, 1, 2, 3, 4, 5]), train(&inputs, &[2, 3, 4, 5]));
    assert_eq!(train(&spoilt, &[0, 1, 2, 3]), train(&inputs, &[2, 3]));
    assert_eq!(train(&spoilt, &[0, 2, 1]).0, 0, "the window has nothing left to step with");
}
