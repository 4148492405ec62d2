//! Named steps, with their times.

use anyhow::Result;
use std::time::{Duration, Instant};

/// Runs the steps in order, up to the first that fails, and prints how they went.
pub(crate) fn run(steps: Vec<Step<'_>>) -> Result<()> {
    let outcomes = run_steps(steps);
    print!("\n{}", summary(&outcomes));
    match outcomes.into_iter().last() {
        Some(Outcome { name, result: Err(error), .. }) => {
            Err(error.context(format!("the step \"{name}\" failed; the steps after it were not run")))
        }
        _ => Ok(()),
    }
}

/// A name, and what is done.
pub(crate) struct Step<'a> {
    name: String,
    action: Box<dyn FnOnce() -> Result<()> + 'a>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(name: impl Into<String>, action: impl FnOnce() -> Result<()> + 'a) -> Self {
        Self { name: name.into(), action: Box::new(action) }
    }
}

/// How a step went.
struct Outcome {
    name: String,
    time: Duration,
    result: Result<()>,
}

/// Runs the steps in order, up to the first that fails.
fn run_steps(steps: Vec<Step<'_>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for Step { name, action } in steps {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let result = action();
        let failed = result.is_err();
        outcomes.push(Outcome { name, time: start.elapsed(), result });
        if failed {
            break;
        }
    }
    outcomes
}

fn summary(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.name.len()).max().unwrap_or(0).max("total".len());
    let row = |name: &str, time: Duration, end: &str| {
        format!("{name:width$}  {:>7.1} s  {end}\n", time.as_secs_f64())
    };
    let mut text: String = outcomes
        .iter()
        .map(|outcome| row(&outcome.name, outcome.time, if outcome.result.is_ok() { "ok" } else { "FAILED" }))
        .collect();
    text.push_str(row("total", outcomes.iter().map(|outcome| outcome.time).sum(), "").trim_end());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn steps_stop_at_the_first_failure_and_the_summary_names_it() {
        let steps = vec![
            Step::new("one", || Ok(())),
            Step::new("two", || bail!("no")),
            Step::new("three", || panic!("must not run")),
        ];
        let mut outcomes = run_steps(steps);
        for outcome in &mut outcomes {
            outcome.time = Duration::from_millis(1500);
        }
        assert_eq!(summary(&outcomes), "one        1.5 s  ok\ntwo        1.5 s  FAILED\ntotal      3.0 s\n");
    }
}
