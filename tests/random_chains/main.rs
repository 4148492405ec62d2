//! Random legal chains: looked at or not, stopped and resumed anywhere, a run has the same bits and the same logs; and where the chain is
//! plain, those of the loop written by hand.
//!
//! A chain is a function of its seed. `CATENA_CHAINS=10000` tries more than the 300 that always are (`cargo xtask faults --chains`),
//! `CATENA_CHAINS_FROM=<seed>` begins at another seed than 0, and `CATENA_CHAIN=<seed>` tries one alone.
mod by_hand;
mod chain;
mod numbers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use catena::prelude::*;
use catena::tensor::hash::sha256;
use catena::tensor::params::state_dict;
use catena::tensor::rng::Exclusive;

use crate::chain::{Chain, chain};
use crate::numbers::SplitMix;

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
    let Chain { built, says, plain: by_hand } = chain(seed, false, None);
    let Ok(mut plain) = built else { return None };
    let wrong = |what: String| Some(Err(format!("chain {seed} ({says}): {what}")));
    let report = match plain.run() {
        Ok(report) => report,
        Err(error) => return wrong(format!("failed: {error}")),
    };
    let expected = left(&plain, &report, None);
    if let Some(stages) = by_hand {
        let (weights, steps) = by_hand::train(seed, stages);
        if (&weights, steps) != (&expected[0], report.steps) {
            return wrong(format!("by hand it makes {steps} steps to {weights}, not {expected:?}"));
        }
    }
    let mut seen = match chain(seed, true, None).built {
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
    let mut whole = chain(seed, false, Some(dir.path())).built.unwrap();
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
        let mut resumed = chain(seed, false, Some(dir.path())).built.unwrap();
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
    // so small a model is faster so, and much faster beside other programs
    catena::tch::set_num_threads(1);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CATENA_CHAINS_FROM").unwrap_or(0);
    let (mut tried, mut seed, mut wrong) = (0, first, Vec::new());
    // told at once: ten thousand chains take a quarter of an hour
    let mut tell = |why: String| {
        println!("{why}");
        wrong.push(why);
    };
    if let Some(seed) = number("CATENA_CHAIN") {
        return check(seed).expect("it is refused at build()").unwrap_or_else(|why| panic!("{why}"));
    }
    let all = number("CATENA_CHAINS").unwrap_or(300);
    while tried < all {
        match catch_unwind(AssertUnwindSafe(|| check(seed))) {
            Ok(None) => {}
            Ok(Some(result)) => {
                tried += 1;
                if let Err(why) = result {
                    tell(why);
                }
            }
            Err(_) => tell(format!("chain {seed} panicked")),
        }
        seed += 1;
        assert!(seed - first < 2 * all + 100, "most chains are refused");
    }
    println!("{tried} chains of seeds {first} to {}", seed - 1);
    assert!(
        wrong.is_empty(),
        "{} of {tried} chains, such as\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
}
