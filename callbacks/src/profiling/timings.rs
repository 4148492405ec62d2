//! Time by event, callback and loader.
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use catena_chain::Work;
use catena_record::formats::timing::CallbackTime;
use catena_record::span;

use super::table::table;

/// What one kind of work took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The event that was heard; `data`, `evaluation` or `snapshot` for what the runner does itself.
    pub event: String,
    /// Who heard it; empty for the runner.
    pub callback: String,
    /// In which loader; empty outside of loaders.
    pub loader: String,
    /// How often.
    pub calls: u64,
    /// All together.
    pub total: Duration,
    /// The longest one.
    pub longest: Duration,
}

/// Time by event, callback and loader: what [`Timeline`](crate::Timeline) leaves in `cx.ext`. As text it is a table, the longest
/// first.
///
/// An evaluation's time holds that of the hooks in it, so the shares may add up to more than 1.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    rows: Vec<Timing>,
    whole: Duration,
    loaders: Vec<String>,
    last_loader: usize,
    places: HashMap<Key, usize>,
}

/// Which row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: u8,
    member: u32,
    loader: u32,
}

impl Timings {
    /// The rows, in the order in which they first came.
    pub fn rows(&self) -> &[Timing] {
        &self.rows
    }

    /// How long was measured altogether.
    pub fn whole(&self) -> Duration {
        self.whole
    }

    pub(super) fn set_whole(&mut self, whole: Duration) {
        self.whole = whole;
    }

    /// The row of this work; a new one if it has not come before.
    pub(super) fn row(&mut self, work: Work<'_>, loader: &str) -> usize {
        let loader = self.loader(loader);
        let (kind, member) = match work {
            Work::Hook { event, member, .. } => (event as u8, member as u32),
            Work::Data => (u8::MAX, 0),
            Work::Evaluation => (u8::MAX - 1, 0),
            Work::Snapshot => (u8::MAX - 2, 0),
            _ => (u8::MAX - 3, 0),
        };
        let key = Key { kind, member, loader: loader as u32 };
        if let Some(&row) = self.places.get(&key) {
            return row;
        }
        let (event, callback) = match work {
            Work::Hook { event, callback, .. } => (event.name(), callback),
            Work::Data => ("data", ""),
            Work::Evaluation => ("evaluation", ""),
            Work::Snapshot => ("snapshot", ""),
            _ => ("other", ""),
        };
        self.rows.push(Timing {
            event: event.into(),
            callback: callback.into(),
            loader: self.loaders[loader].clone(),
            calls: 0,
            total: Duration::ZERO,
            longest: Duration::ZERO,
        });
        self.places.insert(key, self.rows.len() - 1);
        self.rows.len() - 1
    }

    pub(super) fn add(&mut self, row: usize, spent: Duration) {
        if let Some(row) = self.rows.get_mut(row) {
            row.calls += 1;
            row.total += spent;
            row.longest = row.longest.max(spent);
        }
    }

    /// Almost always it is the loader of the time before.
    fn loader(&mut self, name: &str) -> usize {
        if self.loaders.get(self.last_loader).is_none_or(|last| last != name) {
            let known = self.loaders.iter().position(|loader| loader == name);
            self.last_loader = known.unwrap_or_else(|| {
                self.loaders.push(name.to_owned());
                self.loaders.len() - 1
            });
        }
        self.last_loader
    }

    fn by_time(&self) -> Vec<&Timing> {
        let mut rows: Vec<&Timing> = self.rows.iter().filter(|row| row.calls > 0).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.total));
        rows
    }

    /// The rows as `timing.jsonl` has them, the longest first.
    pub(super) fn told(&self) -> Vec<CallbackTime> {
        let row = |row: &Timing| CallbackTime {
            event: row.event.clone(),
            callback: row.callback.clone(),
            loader: row.loader.clone(),
            calls: Some(row.calls),
            seconds: Some(row.total.as_secs_f64()),
            longest: Some(row.longest.as_secs_f64()),
        };
        self.by_time().into_iter().map(row).collect()
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.whole.as_secs_f64().max(f64::MIN_POSITIVE);
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let rows = self.by_time().into_iter().map(|row| {
            let total = row.total.as_secs_f64();
            [
                row.event.clone(),
                or_dash(&row.callback),
                or_dash(&row.loader),
                row.calls.to_string(),
                span::text(total),
                span::text(total / row.calls as f64),
                span::text(row.longest.as_secs_f64()),
                format!("{:.1}", total * 100.0 / whole),
            ]
        });
        let heads = ["event", "callback", "loader", "calls", "total", "mean", "longest", "share (%)"];
        f.write_str(&table(heads, 3, rows))
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::Event;

    use super::*;

    fn hook(event: Event, callback: &str, member: usize) -> Work<'_> {
        Work::Hook { event, callback, member }
    }

    #[test]
    fn each_event_callback_and_loader_has_its_row_and_the_longest_comes_first() {
        let mut timings = Timings::default();
        let mut add = |work: Work<'_>, loader: &str, micros: u64| {
            let row = timings.row(work, loader);
            timings.add(row, Duration::from_micros(micros));
        };
        add(hook(Event::RunStart, "Journal", 7), "", 50);
        for micros in [100, 300] {
            add(hook(Event::Forward, "Forward", 1), "train", micros);
            add(hook(Event::Forward, "Forward", 1), "valid", 50);
            add(hook(Event::Loss, "Criterion", 2), "train", 20);
        }
        add(Work::Data, "train", 1000);
        timings.set_whole(Duration::from_millis(2));
        insta::assert_snapshot!(timings, @"
        event      callback   loader  calls    total     mean  longest  share (%)
        data       -          train       1  1.00 ms  1.00 ms  1.00 ms       50.0
        forward    Forward    train       2   400 µs   200 µs   300 µs       20.0
        forward    Forward    valid       2   100 µs  50.0 µs  50.0 µs        5.0
        run_start  Journal    -           1  50.0 µs  50.0 µs  50.0 µs        2.5
        loss       Criterion  train       2  40.0 µs  20.0 µs  20.0 µs        2.0
        ");
        assert_eq!(timings.told()[1].seconds, Some(0.0004));
    }
}
