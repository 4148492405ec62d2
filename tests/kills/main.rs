//! Killed at any instant with SIGKILL and resumed, a run ends in the same bits, and goes on from the newest snapshot that is whole.
//!
//! The program is its own child, which a test harness would be in the way of: `--kills N` and `--seed N` are its flags;
//! `cargo xtask faults` gives a larger number than `cargo test` does.
#[path = "../common/resumable.rs"]
mod resumable;
#[path = "../common/snapshots.rs"]
mod snapshots;

mod chance;
mod child;
mod parent;
mod places;
mod tally;

use std::path::Path;
use std::time::UNIX_EPOCH;

/// Enough to see that all of it works; the many are `cargo xtask faults`.
const KILLS: u64 = 16;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [what, work, seed @ ..] = args.as_slice()
        && what == "train"
    {
        return child::train(Path::new(work), seed.first().map(|seed| seed.parse().unwrap()));
    }
    let number = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(args.get(at + 1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{flag} needs a number")))
    };
    if !is_meant(&args) {
        return;
    }
    let clock = || UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    parent::run(number("--kills").unwrap_or(KILLS) as usize, number("--seed").unwrap_or_else(clock));
}

/// What `cargo test` hands to every test program may ask for a list of tests, or for those of a name.
fn is_meant(args: &[String]) -> bool {
    if args.iter().any(|arg| arg == "--list") {
        println!("kills: test");
        return false;
    }
    let mut names = args.iter().filter(|arg| !arg.starts_with('-') && arg.parse::<u64>().is_err()).peekable();
    names.peek().is_none() || names.any(|name| "kills".contains(name.as_str()))
}
