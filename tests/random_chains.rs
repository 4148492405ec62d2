//! Random legal chains: looked at or not, stopped and resumed anywhere, a run has the same bits and the same logs.
//!
//! A chain is a function of its seed. `CATENA_CHAINS=10000` tries more than the 300 that always are, and `CATENA_CHAIN=<seed>` one alone.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use catena::chain::testing::{tiny_loader, tiny_model};
use catena::prelude::*;
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

/// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
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
fn stage(rng: &mut SplitMix, name: &str, looked_at: bool, says: &mut Vec<String>) -> Stage {
    let (rows, batch) = (8 + rng.below(9) as i64, 2 + rng.below(4));
    let mut train = tiny_loader(rows, batch);
    if rng.one_in(2) {
        train = train.shuffle(true);
    }
    let epochs = 1 + rng.below(3);
    says.push(format!("{name}: {epochs} epochs of {rows} rows by {batch}"));
    let mut stage = Stage::new(name).epochs(epochs).train(train).on_request("now", tiny_loader(4, 4));
    let valid = rng.one_in(2);
    if valid {
        stage = stage.valid(tiny_loader(6, 4));
    }
    let passes = rng.below(4);
    stage = match passes {
        0 => stage
            .pass(Pass::new("A").params("fc.weight").loss(CrossEntropy::new()).optimizer(optimizer(rng)))
            .pass(Pass::new("B").params("fc.bias").loss(CrossEntropy::new()).optimizer(optimizer(rng))),
        1 => stage
            .pass(Pass::new("A").loss(CrossEntropy::new()).optimizer(optimizer(rng)))
            .pass(Pass::new("B").loss(CrossEntropy::new().label_smoothing(0.1)).optimizer(optimizer(rng))),
        _ => stage.loss(CrossEntropy::new()).optimizer(optimizer(rng)),
    };
    let add = |says: &mut Vec<String>, what: &str, stage: Stage, with: &dyn Fn(Stage) -> Stage| {
        says.push(what.to_owned());
        with(stage)
    };
    let schedules = rng.below(5);
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
        if rng.one_in(often) && !(what == "drop tail" && has_window) {
            has_window |= what == "accumulate";
            stage = add(says, what, stage, with);
        }
    }
    if schedules > 2 && rng.one_in(3) {
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
        stage = add(says, "penalty", stage, &|stage| stage.callback(penalty()));
    }
    // a stop or a skip, at some event of some batch
    if rng.one_in(2) {
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
    stage
}

fn runner(seed: u64, looked_at: bool, dir: Option<&Path>) -> (catena::Result<Runner>, String) {
    let mut rng = SplitMix(seed);
    let mut says = Vec::new();
    let mut runner = Runner::builder(tiny_model()).seed(seed);
    for name in &["a", "b"][..1 + rng.below(2) as usize] {
        runner = runner.stage(stage(&mut rng, name, looked_at, &mut says));
    }
    if rng.one_in(4) {
        says.push("ema of the run".into());
        runner = runner.callback(Ema::new(0.8).named("of the run"));
    }
    if let Some(dir) = dir {
        runner = runner
            .run_dir(dir)
            .callback(Checkpoint::new().every(Every::Batches(1)).every(Every::Epochs(1)).keep_last(999));
    }
    (runner.build(), says.join("; "))
}

/// What is left of a run.
fn left(runner: &Runner, report: &Report, dir: Option<&Path>) -> Vec<String> {
    let mut left = vec![
        sha256(&state_dict(runner.model().var_store())).unwrap(),
        format!("{} steps, {:?}", report.steps, report.status),
    ];
    if let Some(dir) = dir {
        left.push(format!("{:?}", report.metrics));
        let mut files: Vec<_> =
            std::fs::read_dir(dir.join("metrics")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "csv")) {
            let text = std::fs::read_to_string(file).unwrap();
            left.push(format!("{}:\n{text}", file.file_name().unwrap().display()));
        }
    }
    left
}

/// What is wrong with a chain, if anything is; none if it was refused.
fn check(seed: u64) -> Option<Result<(), String>> {
    let (built, says) = runner(seed, false, None);
    let Ok(mut plain) = built else { return None };
    let wrong = |what: String| Some(Err(format!("chain {seed} ({says}): {what}")));
    let report = match plain.run() {
        Ok(report) => report,
        Err(error) => return wrong(format!("failed: {error}")),
    };
    let expected = left(&plain, &report, None);
    let (built, _) = runner(seed, true, None);
    let mut seen = match built {
        Ok(runner) => runner,
        Err(error) => return wrong(format!("looked at, it is refused: {error}")),
    };
    let report = match seen.run() {
        Ok(report) => report,
        Err(error) => return wrong(format!("looked at, it failed: {error}")),
    };
    if left(&seen, &report, None) != expected {
        return wrong("looking changes it".into());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut whole = runner(seed, false, Some(dir.path())).0.unwrap();
    let report = whole.run().unwrap();
    let expected = left(&whole, &report, Some(dir.path()));
    drop(whole);
    let mut snapshots: Vec<_> = std::fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    snapshots.sort();
    let mut rng = SplitMix(seed ^ 0x5eed);
    for _ in 0..3 {
        // newer ones are set aside, so it goes down
        let n = rng.below(snapshots.len() as u64) as usize;
        let snapshot = snapshots[n].clone();
        let mut resumed = runner(seed, false, Some(dir.path())).0.unwrap();
        let from = dir.path().join("checkpoints").join(&snapshot);
        let report = match resumed.resume(Resume::Path(from)) {
            Ok(report) => report,
            Err(error) => return wrong(format!("from {snapshot}: {error}")),
        };
        let now = left(&resumed, &report, Some(dir.path()));
        if now != expected {
            let differs = now.iter().zip(&expected).find(|(now, before)| now != before);
            let (now, before) = differs.map_or(("files", "files"), |(now, before)| (now, before));
            return wrong(format!(
                "resumed from {snapshot}, it has other results:\n{now}\nin place of\n{before}"
            ));
        }
    }
    Some(Ok(()))
}

#[test]
fn a_random_chain_has_the_same_bits_looked_at_or_not_and_stopped_and_resumed_anywhere() {
    let _exclusive = Exclusive::wait();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (mut tried, mut seed, mut wrong) = (0, 0, Vec::new());
    if let Some(seed) = number("CATENA_CHAIN") {
        return check(seed).expect("it is refused at build()").unwrap_or_else(|why| panic!("{why}"));
    }
    let all = number("CATENA_CHAINS").unwrap_or(300);
    while tried < all {
        match catch_unwind(AssertUnwindSafe(|| check(seed))) {
            Ok(None) => {}
            Ok(Some(result)) => {
                tried += 1;
                wrong.extend(result.err());
            }
            Err(_) => wrong.push(format!("chain {seed} panicked")),
        }
        seed += 1;
        assert!(seed < 2 * all + 100, "most chains are refused");
    }
    println!("{tried} chains of {seed} seeds");
    assert!(
        wrong.is_empty(),
        "{} of {tried} chains, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
}
