//! What a batch and its loss count: told where it is made if it is no number of at least 0; and groups that a schedule can't find.
use catena::chain::testing::{tiny_batch, tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::data::{Loader, Start};
use catena::tensor::rng::Exclusive;

fn stage() -> Stage {
    Stage::new("s").train(tiny_loader(12, 4)).loss(CrossEntropy::new()).optimizer(Sgd::new(0.1))
}

fn refused(stage: Stage) -> String {
    let error = Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap_err();
    let source = std::error::Error::source(&error).map(|source| source.to_string());
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn a_weight_that_counts_nothing_known_is_told_with_who_made_it() {
    let _exclusive = Exclusive::wait();
    for weight in [f64::NAN, f64::INFINITY, -1.0] {
        let text = refused(
            stage().callback(
                on(Event::BatchStart, move |cx| {
                    cx.batch.weight = weight;
                    Ok(Flow::GO)
                })
                .named("mine"),
            ),
        );
        assert!(text.contains("mine") && text.contains("batch 1"), "{text}");
        assert!(text.contains(&format!("the batch's weight is {weight}")), "{text}");
        let text = refused(
            stage().callback(
                on(Event::Loss, move |cx| {
                    if let Some(loss) = &mut cx.loss {
                        loss.weight = weight;
                    }
                    Ok(Flow::GO)
                })
                .in_phase(Phase::Loss)
                .named("mine"),
            ),
        );
        assert!(text.contains("mine") && text.contains(&format!("the loss's weight is {weight}")), "{text}");
    }
}

/// Gives one batch of this weight.
struct Weighs(f64, bool);

impl Loader for Weighs {
    fn batches(&self) -> Option<u64> {
        Some(1)
    }

    fn start(&mut self, _: Start) -> catena::Result<()> {
        self.1 = false;
        Ok(())
    }

    fn next_batch(&mut self) -> catena::Result<Option<Batch>> {
        if std::mem::replace(&mut self.1, true) {
            return Ok(None);
        }
        let mut batch = tiny_batch(4);
        batch.weight = self.0;
        Ok(Some(batch))
    }
}

#[test]
fn a_loaders_batch_of_no_weight_is_told_with_the_loader() {
    let _exclusive = Exclusive::wait();
    for weight in [f64::NAN, f64::NEG_INFINITY, -0.5] {
        let stage = Stage::new("s").train(Weighs(weight, false)).loss(CrossEntropy::new());
        let text = refused(stage.optimizer(Sgd::new(0.1)));
        assert!(text.contains("train") && text.contains(&format!("a batch of weight {weight}")), "{text}");
    }
}

#[test]
fn a_first_micro_batch_of_hardly_any_weight_makes_no_infinite_gradient() {
    let _exclusive = Exclusive::wait();
    let tiny = |at: u64, weight: f64| {
        on(Event::Loss, move |cx| {
            if let Some(loss) = cx.loss.as_mut().filter(|_| at == 0) {
                loss.weight = weight;
            }
            Ok(Flow::GO)
        })
    };
    let text = refused(stage().callback(Accumulate::new(2)).callback({
        let first = std::cell::Cell::new(true);
        on(Event::Loss, move |cx| {
            if let Some(loss) = cx.loss.as_mut().filter(|_| first.replace(false)) {
                loss.weight = 1e-300;
            }
            Ok(Flow::GO)
        })
        .in_phase(Phase::Loss)
        .named("first")
    }));
    assert!(text.contains("too far above that of the window's first micro-batch"), "{text}");
    // alone in its window it is a mean like any other
    let stage = stage().callback(tiny(0, 1e-300).in_phase(Phase::Loss).named("alone"));
    Runner::builder(tiny_model()).stage(stage).build().unwrap().run().unwrap();
}

#[test]
fn a_schedule_of_a_group_that_is_not_there_is_refused_at_build_with_the_known_ones() {
    let _exclusive = Exclusive::wait();
    let build = |stage: Stage| {
        Runner::builder(tiny_model()).stage(stage).build().map(|_| ()).map_err(|error| error.to_string())
    };
    let schedule = |group: &str| LrSchedule::new(Exponential::new(0.5)).group(group);
    let error = build(stage().callback(schedule("*.bias"))).unwrap_err();
    assert!(error.contains("LrSchedule(lr of *.bias) moves group `*.bias`, which is not in it"), "{error}");
    assert!(error.contains("no groups"), "{error}");
    let grouped = || OptimizerConfig::from(Sgd::new(0.1)).group(ParamGroup::new("*.bias").lr(0.2));
    let base = || Stage::new("s").train(tiny_loader(12, 4)).loss(CrossEntropy::new());
    let error = build(base().optimizer(grouped()).callback(schedule("*.weigth"))).unwrap_err();
    assert!(error.contains("its groups' patterns are: *.bias"), "{error}");
    assert_eq!(build(base().optimizer(grouped()).callback(schedule("*.bias"))), Ok(()));
    // of several passes one that has it is enough
    let pass = |name: &str, optimizer: OptimizerConfig| {
        Pass::new(name).loss(CrossEntropy::new()).optimizer(optimizer)
    };
    let stage = Stage::new("s").train(tiny_loader(12, 4));
    let stage = stage.pass(pass("a", Sgd::new(0.1).into())).pass(pass("b", grouped()));
    assert_eq!(build(stage.callback(schedule("*.bias"))), Ok(()));
}
