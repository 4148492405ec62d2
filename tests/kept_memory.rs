//! Freed memory is kept while a stage lasts, and changes no number. One test, since what is kept is the process's.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catena::chain::{Event, look, testing};
use catena::prelude::*;
use catena::tensor::native::memory;
use catena::tensor::params::parameters;

/// The most that was kept at a batch's end, and what was kept at the start of the last stage.
#[derive(Default)]
struct Seen {
    most: AtomicU64,
    at_start: AtomicU64,
}

/// The parameters after two stages, and what was seen.
fn train(at_most: Option<u64>, fails: bool) -> (Vec<catena::tch::Tensor>, Arc<Seen>) {
    catena::tensor::rng::manual_seed(3);
    let seen = Arc::new(Seen::default());
    let stage = |name| {
        let loss = CrossEntropy::new();
        Stage::new(name).epochs(2).train(testing::tiny_loader(40, 4)).loss(loss).optimizer(Adam::new(0.01))
    };
    let mut builder = Runner::builder(testing::tiny_model()).stage(stage("first")).stage(stage("second"));
    if let Some(at_most) = at_most {
        builder = builder.keep_memory(at_most);
    }
    if fails {
        builder = builder.callback(look(Event::EpochEnd, |_| Err("no more".into())).named("fails"));
    }
    let (starts, ends) = (seen.clone(), seen.clone());
    let at_start = look(Event::StageStart, move |_| {
        starts.at_start.store(memory::kept(), Ordering::Relaxed);
        Ok(())
    });
    let at_end = look(Event::BatchEnd, move |_| {
        ends.most.fetch_max(memory::kept(), Ordering::Relaxed);
        Ok(())
    });
    let mut runner = builder.callback(at_start.named("start")).callback(at_end.named("end")).build().unwrap();
    assert_eq!(runner.run().is_err(), fails);
    let all = parameters(runner.model().var_store());
    (all.iter().map(|parameter| parameter.tensor.detach().copy()).collect(), seen)
}

#[test]
fn freed_memory_is_kept_while_a_stage_lasts_and_no_number_changes() {
    catena::tch::set_num_threads(1);
    let (plain, seen) = train(Some(0), false);
    assert_eq!(seen.most.load(Ordering::Relaxed), 0);

    let (kept, seen) = train(None, false);
    let (most, at_start) = (seen.most.load(Ordering::Relaxed), seen.at_start.load(Ordering::Relaxed));
    // what the first stage kept was given back; what makes the second one ready frees a little
    assert!(at_start < most / 2, "{at_start} of {most}");
    assert_eq!(memory::kept(), 0);

    let (bounded, seen) = train(Some(300), false);
    assert!((1..=300).contains(&seen.most.load(Ordering::Relaxed)));
    for other in [kept, bounded] {
        assert!(plain.iter().zip(&other).all(|(a, b)| a.equal(b)));
    }

    // a run that fails keeps nothing either
    let (_, seen) = train(None, true);
    assert!(seen.most.load(Ordering::Relaxed) > 0);
    assert_eq!(memory::kept(), 0);
}
