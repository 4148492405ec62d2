//! Reads a run directory: what is new since the last time. Nothing is locked and nothing is written.
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::watched_run::{Part, WatchedRun};
use crate::failure::Result;
use crate::holder;
use crate::model::tail::Tail;
use crate::model::time::since_1970;
use crate::run_directory;
use crate::snapshots::Run;
use catena_record::formats::{journal, metrics, run, timing};

/// How many pieces of a file are read before the picture is drawn again.
const PIECES: usize = 8;

/// Reads a run directory.
#[derive(Debug)]
pub(crate) struct Looker {
    run: Run,
    journal: Tail,
    metrics: Tail,
    timing: Tail,
    plan_seen: Option<(SystemTime, u64)>,
}

impl Looker {
    /// A directory that a run writes into, or did.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        run_directory::check_parts(path, &[run::NAME, journal::NAME, metrics::NAME, "checkpoints"])?;
        let tail = |name: &str| Tail::new(path.join(name));
        Ok(Self {
            journal: tail(journal::NAME),
            metrics: tail(metrics::NAME),
            timing: tail(timing::NAME),
            run: Run { path: path.to_owned(), checkpoints: path.join("checkpoints") },
            plan_seen: None,
        })
    }

    /// Brings what is known up to date.
    pub(crate) fn look(&mut self, state: &mut WatchedRun, now: f64) {
        let mut unreadable = Vec::new();
        let mut changed: Vec<SystemTime> = Vec::new();
        let mut behind = false;
        self.plan(state, &mut changed, &mut unreadable);
        // the journal last: what it tells of is newer than the rest
        follow(&mut self.timing, &mut state.timing, &mut behind, &mut changed, &mut unreadable);
        follow(&mut self.metrics, &mut state.metrics, &mut behind, &mut changed, &mut unreadable);
        follow(&mut self.journal, &mut state.journal, &mut behind, &mut changed, &mut unreadable);
        if let Err(error) = state.kept.look(&self.run) {
            unreadable.push(error.to_string());
        }
        changed.extend(fs::metadata(&self.run.checkpoints).and_then(|m| m.modified()).ok());
        state.changed = changed.into_iter().map(since_1970).reduce(f64::max);
        state.holder = holder::of(&self.run.path);
        (state.unreadable, state.behind) = (unreadable, behind);
        if !behind && let Some(batch) = state.position().map(|position| position.batch) {
            state.seen.push(now, batch);
        }
    }

    fn plan(&mut self, state: &mut WatchedRun, changed: &mut Vec<SystemTime>, unreadable: &mut Vec<String>) {
        let path = self.run.path.join(run::NAME);
        let Ok(metadata) = fs::metadata(&path) else { return };
        let seen = metadata.modified().ok().map(|time| (time, metadata.len()));
        changed.extend(seen.map(|(time, _)| time));
        if seen.is_some() && seen == self.plan_seen {
            return;
        }
        let read = fs::read(&path).map_err(|error| format!("can't read {}: {error}", path.display()));
        let parsed = read.and_then(|bytes| {
            serde_json::from_slice(&bytes).map_err(|error| format!("{} is damaged: {error}", path.display()))
        });
        match parsed {
            Ok(plan) => (state.plan, self.plan_seen) = (plan, seen),
            Err(why) => unreadable.push(why),
        }
    }
}

/// Reads on in a file.
fn follow<P: Part>(
    tail: &mut Tail,
    part: &mut P,
    behind: &mut bool,
    changed: &mut Vec<SystemTime>,
    unreadable: &mut Vec<String>,
) {
    for piece in 1..=PIECES {
        let news = match tail.read() {
            Ok(news) => news,
            Err(error) => {
                unreadable.push(format!("can't read {}: {error}", tail.path().display()));
                return;
            }
        };
        if news.restarted {
            *part = P::default();
        }
        part.bad().skip(news.too_long);
        news.lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| part.line(line));
        if !news.more || piece == PIECES {
            *behind |= news.more;
            changed.extend(news.changed);
            return;
        }
    }
}
