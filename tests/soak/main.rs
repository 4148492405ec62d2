//! A run over days, compressed: interrupted in every way that disks, people, servers and supervisors know, it ends in the bits, the metrics and the
//! journal of the run that nobody disturbed; or a sentence asks for a choice.
//!
//! The program is its own child: `--interruptions N` and `--seed N` are its flags; `cargo xtask faults --days` gives a larger number than
//! `cargo test` does.
#[path = "../kills/chance.rs"]
mod chance;

mod child;
mod disturb;
mod parent;
mod server;

use std::time::UNIX_EPOCH;

/// Enough to see that all of it works.
const INTERRUPTIONS: u64 = 24;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [what, plan] = args.as_slice()
        && what == "train"
    {
        return child::train(&serde_json::from_str(plan).unwrap());
    }
    if args.iter().any(|arg| arg == "--list") {
        println!("days: test");
        return;
    }
    let number = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(args.get(at + 1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{flag} needs a number")))
    };
    // what `cargo test` hands to every test program may ask for tests of a name
    let mut names = args.iter().filter(|arg| !arg.starts_with('-') && arg.parse::<u64>().is_err()).peekable();
    if names.peek().is_some() && !names.any(|name| "soak".contains(name.as_str())) {
        return;
    }
    let clock = || UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    parent::run(number("--interruptions").unwrap_or(INTERRUPTIONS), number("--seed").unwrap_or_else(clock));
}
