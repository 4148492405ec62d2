//! A small run that can be stopped after a batch, and gone on with.
use std::path::Path;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::chain::{Event, Every, look};
use catena::prelude::*;

/// Two epochs of three batches, a snapshot after each; the run is interrupted after the batch `until`.
pub(crate) fn builder(dir: &Path, until: Option<u64>) -> catena::RunnerBuilder {
    let stop = look(Event::BatchEnd, move |cx| {
        if cx.is_train() && Some(cx.global_batch()) == until {
            cx.interrupt("a test");
        }
        Ok(())
    });
    let stage = Stage::new("train")
        .epochs(2)
        .train(tiny_loader(10, 4).shuffle(true))
        .loss(CrossEntropy::new())
        .optimizer(Sgd::new(0.5).momentum(0.9));
    Runner::builder(tiny_model())
        .run_dir(dir)
        .stage(stage)
        .callback(Checkpoint::new().every(Every::Batches(1)))
        .callback(stop.named("stop"))
}
