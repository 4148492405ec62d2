//! A random legal chain, as a function of its seed.
use std::path::Path;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;

use crate::by_hand::{Plain, PlainPass};
use crate::numbers::SplitMix;

/// A chain, ready to run.
pub(crate) struct Chain {
    pub(crate) built: catena::Result<Runner, catena::Error>,
    /// What is told of it if it is wrong.
    pub(crate) says: String,
    /// Its stages for the loop written by hand, if it is plain.
    pub(crate) plain: Option<Vec<Plain>>,
}

fn optimizer(rng: &mut SplitMix) -> OptimizerConfig {
    match rng.below(4) {
        0 => Sgd::new(0.2).into(),
        1 => Sgd::new(0.1).momentum(0.9).into(),
        2 => AdamW::new(0.01).into(),
        _ => Adam::new(0.01).into(),
    }
}

/// A stage, and what of it is told if a chain is wrong.
fn stage(rng: &mut SplitMix, name: &str, is: Is, says: &mut Vec<String>) -> (Stage, Plain) {
    let Is { looked_at, plain } = is;
    let (rows, batch) = (8 + rng.below(9) as i64, 2 + rng.below(4));
    let shuffle = rng.one_in(2);
    let train = tiny_loader(rows, batch).shuffle(shuffle);
    let epochs = 1 + rng.below(3);
    says.push(format!("{name}: {epochs} epochs of {rows} rows by {batch}"));
    let mut stage = Stage::new(name).epochs(epochs).train(train).on_request("now", tiny_loader(4, 4));
    let valid = rng.one_in(2);
    if valid {
        stage = stage.valid(tiny_loader(6, 4));
    }
    let of_pass = |params, label_smoothing, optimizer| PlainPass { params, label_smoothing, optimizer };
    let passes = match rng.below(4) {
        0 => vec![of_pass("fc.weight", 0.0, optimizer(rng)), of_pass("fc.bias", 0.0, optimizer(rng))],
        1 => vec![of_pass("*", 0.0, optimizer(rng)), of_pass("*", 0.1, optimizer(rng))],
        _ => vec![of_pass("*", 0.0, optimizer(rng))],
    };
    let several = passes.len() > 1;
    for (name, PlainPass { params, label_smoothing, optimizer }) in ["A", "B"].iter().zip(&passes) {
        let loss = CrossEntropy::new().label_smoothing(*label_smoothing);
        stage = match several {
            true => stage.pass(Pass::new(*name).params(*params).loss(loss).optimizer(optimizer.clone())),
            false => stage.loss(loss).optimizer(optimizer.clone()),
        };
    }
    let mut by_hand =
        Plain { rows, batch, shuffle, epochs, passes, schedule: None, window: 1, clip: None, penalty: false };
    let add = |says: &mut Vec<String>, what: &str, stage: Stage, with: &dyn Fn(Stage) -> Stage| {
        says.push(what.to_owned());
        with(stage)
    };
    let schedules = rng.below(5);
    by_hand.schedule = match schedules {
        0 => Some((Exponential::new(0.9).into(), false)),
        1 => Some((Exponential::new(0.5).into(), true)),
        2 => Some((OneCycle::new(0.1, 40).into(), false)),
        _ => None,
    };
    stage = match schedules {
        0 => add(says, "exponential", stage, &|stage| stage.schedule(Exponential::new(0.9))),
        1 => add(says, "by epoch", stage, &|stage| {
            stage.callback(LrSchedule::new(Exponential::new(0.5)).by_epoch())
        }),
        2 => add(says, "one cycle", stage, &|stage| stage.schedule(OneCycle::new(0.1, 40))),
        _ => stage,
    };
    let (n, threshold) = (1 + rng.below(4), 0.1 + rng.below(10) as f64 * 0.1);
    type With<'a> = &'a dyn Fn(Stage) -> Stage;
    let may: [(&str, u64, With); 14] = [
        ("accumulate", 2, &|stage| stage.callback(Accumulate::new(n))),
        ("drop tail", 8, &|stage| stage.callback(Accumulate::new(n + 1).tail(Tail::Drop).named("tail"))),
        ("clip", 3, &|stage| stage.callback(ClipGradNorm::new(threshold))),
        ("adaptive", 6, &|stage| stage.callback(AdaptiveClip::new(threshold))),
        ("scaler", 4, &|stage| stage.callback(LossScaler::new().growth_interval(2))),
        ("ema", 3, &|stage| stage.callback(Ema::new(0.9))),
        ("slow ema", 4, &|stage| stage.callback(Ema::new(0.5).by_epoch().named("slow"))),
        ("swa", 4, &|stage| stage.callback(Swa::new(1).replace())),
        ("swa by steps", 6, &|stage| stage.callback(Swa::new(1).every_steps(2).named("steps"))),
        ("lookahead", 4, &|stage| stage.callback(Lookahead::new().k(2))),
        ("sam", 5, &|stage| stage.callback(Sam::new(0.05))),
        ("noise", 4, &|stage| stage.callback(GaussianNoise::new(0.1))),
        ("gradient noise", 6, &|stage| stage.callback(GradientNoise::new(0.01))),
        ("bf16", 6, &|stage| stage.callback(Autocast::bf16())),
    ];
    let mut has_window = false;
    for (what, often, with) in may {
        let fits = !(what == "drop tail" && has_window) && (!plain || what == "accumulate" || what == "clip");
        if rng.one_in(often) && fits {
            has_window |= what == "accumulate";
            match what {
                "accumulate" => by_hand.window = n,
                "clip" => by_hand.clip = Some(threshold),
                _ => {}
            }
            stage = add(says, what, stage, with);
        }
    }
    if schedules > 2 && rng.one_in(3) && !plain {
        let plateau = || ReduceLrOnPlateau::new("epochs_seen", Plateau::new().patience(0));
        let seen =
            || look(Event::EpochEnd, |cx| cx.log("epochs_seen", 1.0, Reduce::Last)).in_phase(Phase::Measure);
        stage =
            add(says, "plateau", stage, &|stage| stage.callback(seen().named("seen")).callback(plateau()));
    }
    // a penalty, by whoever acts on the loss
    if rng.one_in(5) {
        let penalty = || {
            on(Event::Loss, |cx| {
                let weight = cx.model.var_store().variables()["fc.weight"].shallow_clone();
                if let Some(loss) = cx.loss.take() {
                    let value = loss.value + weight.square().sum(catena::tch::Kind::Float) * 0.01;
                    cx.loss = Some(Loss::new(value, loss.weight));
                }
                Ok(Flow::GO)
            })
            .in_phase(Phase::Loss)
            .named("penalty")
        };
        by_hand.penalty = true;
        stage = add(says, "penalty", stage, &|stage| stage.callback(penalty()));
    }
    // a stop or a skip, at some event of some batch
    if rng.one_in(2) && !plain {
        let flow = rng.of(&[
            Flow::STOP_LOADER,
            Flow::STOP_EPOCH,
            Flow::STOP_STAGE,
            Flow::STOP_RUN,
            Flow::SKIP_BATCH,
            Flow::SKIP_STEP,
        ]);
        let skips = flow == Flow::SKIP_BATCH || flow == Flow::SKIP_STEP;
        let event = match skips {
            true => rng.of(&[Event::BatchStart, Event::Forward, Event::Loss, Event::Backward]),
            false => rng.of(&[Event::BatchStart, Event::Loss, Event::Step, Event::BatchEnd]),
        };
        let (phase, at) =
            (rng.of(&[Phase::Input, Phase::Measure, Phase::Decide, Phase::Report]), 1 + rng.below(8));
        let ask = || {
            on(event, move |cx| Ok(if cx.is_train() && cx.global_batch() == at { flow } else { Flow::GO }))
                .in_phase(phase)
                .named("ask")
        };
        stage = add(says, &format!("{flow:?} at {event} of batch {at} in {phase:?}"), stage, &|stage| {
            stage.callback(ask())
        });
    }
    if looked_at {
        let every = if valid { Every::Batches(2) } else { Every::Steps(1) };
        stage = stage
            .callback(Validate::every(every).loader("now"))
            .callback(GradNorms::new())
            .callback(look(Event::Loss, |cx| cx.log("seen", 1.0, Reduce::Sum)).named("seen loss"));
    }
    (stage, by_hand)
}

/// What a chain is to be, besides what its seed says.
#[derive(Clone, Copy)]
struct Is {
    looked_at: bool,
    plain: bool,
}

/// The chain of a seed, which may be looked at, and saved. Every fourth one is plain.
pub(crate) fn chain(seed: u64, looked_at: bool, dir: Option<&Path>) -> Chain {
    let mut rng = SplitMix(seed);
    let (mut says, mut by_hand) = (Vec::new(), Vec::new());
    let plain = seed.is_multiple_of(4);
    let mut runner = Runner::builder(tiny_model()).seed(seed);
    for name in &["a", "b"][..1 + rng.below(2) as usize] {
        let (stage, own) = stage(&mut rng, name, Is { looked_at, plain }, &mut says);
        runner = runner.stage(stage);
        by_hand.push(own);
    }
    if rng.one_in(4) {
        says.push("ema of the run".into());
        runner = runner.callback(Ema::new(0.8).named("of the run"));
    }
    if let Some(dir) = dir {
        runner = runner
            .run_dir(dir)
            .callback(Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_every(1));
    }
    Chain { built: runner.build(), says: says.join("; "), plain: plain.then_some(by_hand) }
}
