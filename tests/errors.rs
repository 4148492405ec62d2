//! Wrong input is a sentence: what, where, what to do.
use catena::chain::testing::{Recorder, tiny_batch, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tch::{Device, Kind, Tensor};
use catena::tensor::data::Start;
use catena::tensor::rng::Exclusive;

fn stage() -> Stage {
    Stage::new("train").train(tiny_loader(6, 2)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
}

fn refused(stage: Stage) -> String {
    Runner::builder(tiny_model()).stage(stage).build().unwrap_err().to_string()
}

fn fails(stage: Stage) -> String {
    let _exclusive = Exclusive::wait();
    Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap_err().to_string()
}

fn tensors(rows: i64, width: i64, label: i64) -> TensorLoader {
    let x = Tensor::zeros([rows, width], (Kind::Float, Device::Cpu));
    let y = Tensor::full([rows], label, (Kind::Int64, Device::Cpu));
    TensorLoader::new(&x, &y, 2).unwrap()
}

#[test]
fn a_label_out_of_range_is_named_with_its_place() {
    let stage =
        Stage::new("train").train(tensors(4, 4, 7)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    assert_eq!(
        fails(stage),
        "Criterion failed at loss (stage `train`, epoch 1, loader `train`, batch 1): label 7 is out of range: the output has 3 \
         classes, so labels go from 0 to 2",
    );
}

#[test]
fn shapes_that_do_not_fit_the_model_are_an_error_without_stack_frames() {
    let stage =
        Stage::new("train").train(tensors(4, 5, 0)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    assert_eq!(
        fails(stage),
        "Forward panicked at forward (stage `train`, epoch 1, loader `train`, batch 1): libtorch: mat1 and mat2 shapes cannot be \
         multiplied (2x5 and 4x3)",
    );
}

#[test]
fn a_target_of_the_wrong_shape_is_explained() {
    let x = Tensor::zeros([4, 4], (Kind::Float, Device::Cpu));
    let y = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
    let loader = |y: &Tensor| TensorLoader::new(&x, y, 2).unwrap();
    let stage = |y: &Tensor| Stage::new("train").train(loader(y)).optimizer(Sgd::new(0.1));
    let text = fails(stage(&y.narrow(1, 0, 2)).loss(Mse::new()));
    assert!(
        text.ends_with(
            "`target` of shape [2, 2] doesn't fit: `output` has shape [2, 3], and the two must be equal"
        ),
        "{text}"
    );
    let text = fails(stage(&y.to_kind(Kind::Int64)).loss(CrossEntropy::new()));
    assert!(
        text.ends_with("`target` of dtype Int64 doesn't fit: `output` has shape [2, 3], so labels need [2], and class probabilities [2, 3] and a \
             floating point dtype"),
        "{text}"
    );
}

#[test]
fn what_the_description_lacks_is_found_before_anything_runs() {
    let bare = || Stage::new("train");
    let cases = [
        (
            bare(),
            "stage `train`: it has no loader; add one with `.train(loader)`, `.valid(loader)` or `.loader(name, mode, loader)`",
        ),
        (stage().epochs(0), "stage `train`: it has no epochs; give at least 1 with `.epochs(n)`"),
        (
            stage().train(tiny_loader(2, 1)),
            "stage `train`: two loaders are named `train`; give one another name with `.loader(name, …)`",
        ),
        (stage().valid(tensors(0, 4, 0)), "stage `train`: loader `valid` is empty: it has no batch"),
        (
            bare().train(tiny_loader(2, 1)).loss(CrossEntropy::new()),
            "stage `train`: pass `main` has no optimizer to step with; add one with `.optimizer(…)`",
        ),
        (
            bare().train(tiny_loader(2, 1)).optimizer(Sgd::new(0.1)),
            "stage `train`: pass `main` has no loss; add one with `.loss(…)`",
        ),
        (
            bare().train(tiny_loader(2, 1)),
            "stage `train`: it has a Train loader, but no optimizer and no callback that hears step; add `.loss(…)` and \
             `.optimizer(…)`, or make the loader Eval",
        ),
        (
            stage().optimizer(Sgd::new(0.1).group(ParamGroup::new("conv.*").lr(1.0))),
            "stage `train`: the pattern `conv.*` matches no parameter; the parameters are: fc.bias, fc.weight",
        ),
        (
            stage().freeze("*.scale"),
            "stage `train`: the pattern `*.scale` matches no parameter; the parameters are: fc.bias, fc.weight",
        ),
        (
            stage().optimizer(AdamW::new(-1.0)),
            "stage `train`: adamw: `lr` is -1, but must be a number of at least 0",
        ),
        (
            stage().callback(GradNorms::new().every(Every::Steps(0))),
            "GradNorms: `every` is 0 steps, but its number must be above 0",
        ),
        (
            stage().callback(Validate::every(Every::Batches(0))),
            "Validate: `every` is 0 batches, but its number must be above 0",
        ),
        (
            stage().callback(Checkpoint::new().every(Every::Seconds(-1.0))),
            "Checkpoint: `every` is -1 seconds, but its number must be above 0",
        ),
        (
            stage().loss(CrossEntropy::new().label_smoothing(2.0)),
            "Criterion: cross_entropy: `label_smoothing` is 2, but must be in [0, 1]",
        ),
        (stage().callback(Accumulate::new(0)), "Accumulate: `n` is 0, but must be at least 1"),
        (
            stage().callback(ClipGradNorm::new(f64::NAN)),
            "ClipGradNorm: `max_norm` is NaN, but must be a number above 0",
        ),
        (
            stage().schedule(CosineAnnealing::new(0)),
            "LrSchedule: cosine_annealing: `t_max` is 0, but must be at least 1",
        ),
        (
            stage().callback(Accuracy::new()).callback(Accuracy::new().top_k([2])),
            "two callbacks are named `Accuracy`; a name is the key of a callback's state, so give one another with `.named(\"…\")`",
        ),
    ];
    for (stage, text) in cases {
        assert_eq!(refused(stage), text);
    }
    let text = Runner::builder(tiny_model()).build().unwrap_err().to_string();
    assert_eq!(text, "the runner has no stage; add one with `.stage(Stage::new(…))`");
    let text = Runner::builder(tiny_model()).stage(stage()).stage(stage()).build().unwrap_err().to_string();
    assert_eq!(text, "two stages are named `train`; give one another name");
}

#[test]
fn a_callback_that_errs_ends_the_run_with_its_place_and_everybody_is_told() {
    let _exclusive = Exclusive::wait();
    let (recorder, record) = Recorder::new();
    let (_, told) = Recorder::new();
    let tell = {
        let told = told.clone();
        on(Event::Exception, move |cx| {
            told.add(cx.exception().unwrap());
            Err("an error in here goes no further".into())
        })
    };
    let fail =
        on(Event::Backward, |cx| if cx.global_batch() == 2 { Err("no luck".into()) } else { Ok(Flow::GO) })
            .named("Unlucky");
    let mut runner = Runner::builder(tiny_model())
        .stage(stage())
        .callback(fail)
        .callback(tell)
        .callback(recorder)
        .build()
        .unwrap();
    let text = runner.run().unwrap_err().to_string();
    assert_eq!(text, "Unlucky failed at backward (stage `train`, epoch 1, loader `train`, batch 2): no luck");
    assert_eq!(told.events(), [text]);
    let events = record.events();
    assert_eq!(
        events[events.len() - 2..],
        ["loss", "exception"],
        "those after the failing callback did not hear the event"
    );
    assert_eq!(
        runner.run().unwrap_err().to_string(),
        "this runner has run already; build another one (or resume) to go on"
    );
}

#[test]
fn a_callback_that_panics_is_an_error_too() {
    let fail = on(Event::EpochStart, |_| panic!("divided by {}", 0)).named("Careless");
    assert_eq!(
        fails(stage().callback(fail)),
        "Careless panicked at epoch_start (stage `train`, epoch 1): divided by 0 (at tests/errors.rs:187)"
    );
}

#[test]
fn a_nan_loss_with_the_guard_is_an_error_that_names_the_samples() {
    let x = Tensor::from_slice(&[0f32, 0., 0., 0., 1., f32::NAN, 0., 0., 0., 0., 0., 0.]).view([3, 4]);
    let y = Tensor::zeros([3], (Kind::Int64, Device::Cpu));
    let stage = |on_nan| {
        let loader = TensorLoader::new(&x, &y, 1).unwrap();
        let stage = Stage::new("train").train(loader).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
        stage.callback(NanGuard::new().on_nan(on_nan))
    };
    assert_eq!(
        fails(stage(OnNan::Error)),
        "NanGuard failed at loss (stage `train`, epoch 1, loader `train`, batch 2): the loss is NaN; lower the learning rate, \
         clip the gradients, or look for bad values in the batch (samples 1)",
    );
    let _exclusive = Exclusive::wait();
    let run = |on_nan| Runner::builder(tiny_model()).stage(stage(on_nan)).build().unwrap().run().unwrap();
    assert_eq!(run(OnNan::SkipStep).steps, 2);
    let stopped = run(OnNan::StopRun);
    assert_eq!(stopped.steps, 1);
    let Status::Stopped(stopped) = stopped.status else { panic!("not stopped") };
    assert_eq!((stopped.by.as_str(), stopped.why.as_deref()), ("NanGuard", Some("the loss is NaN")));
}

#[test]
fn a_loader_that_errs_or_panics_is_named_with_its_place() {
    #[derive(Clone, Copy)]
    struct Broken(bool);
    impl Loader for Broken {
        fn batches(&self) -> Option<u64> {
            None
        }
        fn start(&mut self, _: Start) -> catena::Result<()> {
            Ok(())
        }
        fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
            assert!(!self.0, "the file is gone");
            let batch = tiny_batch(2);
            batch.get("image")?;
            Ok(Some(batch))
        }
    }
    let stage =
        |panics| Stage::new("train").train(Broken(panics)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1));
    let place = "the loader failed (stage `train`, epoch 1, loader `train`)";
    assert_eq!(fails(stage(false)), format!("{place}: no tensor is named `image`; there are: input, target"));
    assert_eq!(fails(stage(true)), format!("{place}: panicked: the file is gone (at tests/errors.rs:229)"));
}

#[test]
fn an_evaluation_that_is_not_there_is_refused_with_those_that_are() {
    let ask = on(Event::BatchEnd, |cx| {
        cx.request_evaluation("test");
        Ok(Flow::GO)
    });
    let text = fails(stage().valid(tiny_loader(2, 2)).callback(ask));
    assert_eq!(
        text,
        "an evaluation on `test` was asked for (stage `train`, epoch 1, loader `train`, batch 1), but the stage's Eval loaders \
         are: valid",
    );
}

#[test]
fn a_second_run_on_another_thread_is_refused_while_one_is_running() {
    let exclusive = Exclusive::wait();
    let other = std::thread::spawn(|| {
        let mut runner = Runner::builder(tiny_model()).stage(stage()).build().unwrap();
        runner.run().unwrap_err().to_string()
    });
    let text = other.join().unwrap();
    assert!(text.starts_with("another run is going on in this process"), "{text}");
    drop(exclusive);
}

#[test]
fn a_hook_that_hears_leaves_out_is_found() {
    struct Forgetful;
    impl Callback for Forgetful {
        fn about(&self) -> About {
            About::of::<Self>().hears([Event::EpochStart])
        }

        fn state(&self) -> State {
            State::none()
        }
        fn on_epoch_end(&mut self, _: &mut Context) -> catena::chain::Result<Flow> {
            Ok(Flow::STOP_RUN)
        }
    }
    let text = catena::chain::testing::check_callback(|| Box::new(Forgetful)).unwrap_err().to_string();
    assert_eq!(
        text,
        "Forgetful has a hook for epoch_end, but its about() leaves it out of what it hears; add it there, or it is never called"
    );
}

#[test]
fn a_backward_pass_without_a_loss_says_so() {
    let stage = stage().callback(on(Event::Loss, |cx| {
        cx.loss = None;
        Ok(Flow::GO)
    }));
    let text = fails(stage);
    assert!(text.ends_with("no loss is set: a callback in phase loss must set cx.loss"), "{text}");
}
