//! What is wrong with a run, the worst first.
use super::watched_run::{Bad, Standing, WatchedRun};
use super::words::span;
use crate::model::series::Series;
use crate::report;
use catena_record::formats::{journal, metrics, timing};

/// Snapshots that take more of the run's time than this are told of.
const SHARE: f64 = 0.1;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// Whether the run can't go on like this.
    pub(crate) is_grave: bool,
    pub(crate) text: String,
}

/// All that is wrong.
pub(crate) fn of(state: &WatchedRun, now: f64) -> Vec<Warning> {
    let (mut grave, mut light) = (Vec::new(), Vec::new());
    if state.standing(now) == Standing::Gone {
        let silent = span(state.silent(now));
        grave.push(format!("process gone or on another host, silent for {silent}"));
    }
    grave.extend(state.plan.file.error.iter().map(|error| format!("the run failed: {error}")));
    if state.is_stuck(now) {
        light.push(format!("no progress for {}", span(state.silent(now))));
    }
    if let Some(newest) = state.kept.crashes.last() {
        let others = state.kept.crashes.len() - 1;
        let others = if others == 0 { String::new() } else { format!(", and {others} before it") };
        grave.push(format!("an error inside a batch left {newest}{others}"));
    }
    for curve in state.curves() {
        if let Some(text) = curve.steps.and_then(|series| not_finite(curve.name, series)) {
            grave.push(text);
            continue;
        }
        let lines = curve.lines.iter().filter(|line| !(line.by_batch && curve.steps.is_some()));
        let texts = lines.filter_map(|l| not_finite(&format!("{}/{}", l.loader, curve.name), &l.series));
        let into = if curve.name == "loss" { &mut grave } else { &mut light };
        into.extend(texts);
    }
    for (name, damage) in state.kept.damaged() {
        light.push(format!("checkpoint {name} is {damage}"));
    }
    match state.kept.corrupt.as_slice() {
        [] => {}
        [one] => light.push(format!("{one} was set aside as damaged")),
        [first, rest @ ..] => {
            let others = report::count(rest.len(), "other");
            light.push(format!("{first} and {others} were set aside as damaged"));
        }
    }
    if let Some(share) = state.timing.share.filter(|share| *share > SHARE) {
        light.push(format!("checkpoints take {:.0} % of the time", share * 100.0));
    }
    let files = [
        (journal::NAME, state.journal.bad),
        (metrics::NAME, state.metrics.bad),
        (timing::NAME, state.timing.bad),
    ];
    light.extend(files.into_iter().filter_map(|(file, bad)| bad_lines(file, bad)));
    light.extend(state.unreadable.iter().cloned());
    let warning = |is_grave| move |text: String| Warning { is_grave, text: report::printable(&text) };
    grave.into_iter().map(warning(true)).chain(light.into_iter().map(warning(false))).collect()
}

fn not_finite(name: &str, series: &Series) -> Option<String> {
    let bad = series.not_finite?;
    let others = match bad.count - 1 {
        0 => String::new(),
        n => format!(", and {n} more since"),
    };
    Some(format!("{name} was {} at step {}{others}", bad.value, bad.first))
}

fn bad_lines(file: &str, bad: Bad) -> Option<String> {
    match bad.lines {
        0 => None,
        1 => Some(format!("line {} of {file} can't be read", bad.first)),
        n => Some(format!("{n} lines of {file} can't be read, the first is line {}", bad.first)),
    }
}
