//! Which snapshots are kept, decided as data.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::listed::Listed;
use crate::name::SnapshotName;

/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Lower is better.
    Min,
    /// Higher is better.
    Max,
}

/// The best by a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepBest {
    /// How many.
    pub k: usize,
    /// The metric's whole name, such as `valid/loss`.
    pub metric: String,
    /// Which way it gets better.
    pub goal: Goal,
}

/// Which snapshots are kept: the newest, the best, every m-th. The newest one always is.
///
/// Snapshots that are taken at one Train batch (after the batch, at the epoch's, the stage's and the run's end) have the same parameters: of these
/// only the newest counts, so that `keep_last` keeps so many different states. One that was taken after a stop does not stand for one before it, from which a
/// run goes on that forgets the stop.
///
/// ```
/// use std::collections::BTreeMap;
/// use catena_record::{SafePoint, Listed, SnapshotName, retention::{KeepBest, Goal, Retention}};
///
/// let listed: Vec<Listed> = [0.3, 0.1, 0.2, 0.4]
///     .into_iter()
///     .enumerate()
///     .map(|(i, loss)| Listed {
///         name: SnapshotName { global_batch: i as u64, point: SafePoint::Epoch },
///         sequence: i as u64 + 1,
///         stage: "train".into(),
///         measured: BTreeMap::from([("valid/loss".to_owned(), loss)]),
///         stopped: false,
///     })
///     .collect();
/// let best = KeepBest { k: 1, metric: "valid/loss".into(), goal: Goal::Min };
/// let retention = Retention { keep_last: 1, best: Some(best), ..Retention::default() };
/// let doomed: Vec<u64> = retention.doomed(&listed).iter().map(|name| name.global_batch).collect();
/// assert_eq!(doomed, [0, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// How many of the newest (default 2; at least 1 is kept).
    pub keep_last: usize,
    /// The best by a metric (default none).
    pub best: Option<KeepBest>,
    /// Every m-th snapshot of the run, for ever (default none).
    pub every: Option<u64>,
    /// How many of the newest folders in `crash/`, which errors leave (default 3).
    pub crashes: usize,
    /// How many of the newest folders in `checkpoints/superseded/`, which going on from an older snapshot leaves (default 8).
    pub superseded: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_last: 2, best: None, every: None, crashes: 3, superseded: 8 }
    }
}

impl KeepBest {
    /// The snapshots in which the metric was measured, best first. NaN is left out; of two equal ones the older is better, and of those that were taken
    /// at one batch only the newest is there.
    pub fn ranked<'a>(&self, listed: &'a [Listed]) -> Vec<&'a Listed> {
        let value = |l: &Listed| l.measured.get(&self.metric).copied().filter(|value| !value.is_nan());
        let measured = newest_of_each_batch(listed.iter().filter(|l| value(l).is_some()));
        let mut ranked: Vec<(f64, &Listed)> =
            measured.into_iter().filter_map(|l| Some((value(l)?, l))).collect();
        ranked.sort_by(|(a, x), (b, y)| {
            let order = if self.goal == Goal::Min { a.total_cmp(b) } else { b.total_cmp(a) };
            // -0 and 0 are equal
            if a == b { x.name.cmp(&y.name) } else { order }
        });
        ranked.into_iter().map(|(_, listed)| listed).collect()
    }
}

/// The newest of those that were taken at one batch before a stop, and after one, oldest first.
fn newest_of_each_batch<'a>(listed: impl IntoIterator<Item = &'a Listed>) -> Vec<&'a Listed> {
    let mut newest: BTreeMap<(u64, bool), &Listed> = BTreeMap::new();
    for listed in listed {
        let own = newest.entry((listed.name.global_batch, listed.stopped)).or_insert(listed);
        if listed.name > own.name {
            *own = listed;
        }
    }
    let mut newest: Vec<&Listed> = newest.into_values().collect();
    newest.sort_by_key(|listed| listed.name);
    newest
}

/// The metrics by which one of these snapshots is the best: it was measured, and is not NaN everywhere.
pub fn ranked_metrics(listed: &[Listed]) -> BTreeSet<&str> {
    let numbers = listed.iter().flat_map(|l| &l.measured).filter(|(_, value)| !value.is_nan());
    numbers.map(|(name, _)| name.as_str()).collect()
}

impl Retention {
    /// Those that are not kept, oldest first.
    pub fn doomed(&self, listed: &[Listed]) -> Vec<SnapshotName> {
        let mut names: Vec<SnapshotName> = listed.iter().map(|l| l.name).collect();
        names.sort_unstable();
        let states = newest_of_each_batch(listed);
        let mut kept: BTreeSet<SnapshotName> =
            states.iter().rev().take(self.keep_last.max(1)).map(|l| l.name).collect();
        if let Some(best) = &self.best {
            kept.extend(best.ranked(listed).into_iter().take(best.k).map(|l| l.name));
        }
        if let Some(every) = self.every {
            kept.extend(listed.iter().filter(|l| l.sequence.checked_rem(every) == Some(0)).map(|l| l.name));
        }
        names.retain(|name| !kept.contains(name));
        names
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last {}", self.keep_last.max(1))?;
        if let Some(KeepBest { k, metric, goal }) = &self.best {
            let goal = if *goal == Goal::Min { "lowest" } else { "highest" };
            write!(f, ", the {k} with the {goal} {metric}")?;
        }
        match self.every {
            Some(m) => write!(f, ", every {m}th"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::name::SafePoint;

    fn listed(values: &[Option<f64>]) -> Vec<Listed> {
        let one = |(i, value): (usize, &Option<f64>)| Listed {
            name: SnapshotName { global_batch: i as u64, point: SafePoint::Batch },
            sequence: i as u64 + 1,
            stage: String::new(),
            measured: value.map(|value| ("m".to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
            stopped: false,
        };
        values.iter().enumerate().map(one).collect()
    }

    fn kept(retention: &Retention, all: &[Listed]) -> Vec<u64> {
        let doomed = retention.doomed(all);
        all.iter().filter(|l| !doomed.contains(&l.name)).map(|l| l.name.global_batch).collect()
    }

    #[test]
    fn the_newest_the_best_and_every_mth_are_kept() {
        let best = |k, goal| Some(KeepBest { k, metric: "m".into(), goal });
        let values = [Some(2.0), Some(1.0), None, Some(1.0), Some(f64::NAN), Some(3.0), Some(0.0), None];
        let all = listed(&values);
        for (retention, expected) in [
            (Retention::default(), &[6, 7][..]),
            (Retention { keep_last: 0, ..Retention::default() }, &[7]),
            (
                Retention { keep_last: 1, best: best(2, Goal::Min), every: None, ..Retention::default() },
                &[1, 6, 7],
            ),
            (
                Retention { keep_last: 1, best: best(3, Goal::Min), every: None, ..Retention::default() },
                &[1, 3, 6, 7],
            ),
            (
                Retention { keep_last: 1, best: best(2, Goal::Max), every: None, ..Retention::default() },
                &[0, 5, 7],
            ),
            (
                Retention { keep_last: 1, best: best(100, Goal::Max), every: None, ..Retention::default() },
                &[0, 1, 3, 5, 6, 7],
            ),
            (Retention { keep_last: 1, best: None, every: Some(3), ..Retention::default() }, &[2, 5, 7]),
            (Retention { keep_last: 1, best: None, every: Some(0), ..Retention::default() }, &[7]),
        ] {
            assert_eq!(kept(&retention, &all), expected, "{retention}");
        }
        let zeros = listed(&[Some(0.0), Some(-0.0), Some(0.5)]);
        let retention =
            Retention { keep_last: 1, best: best(1, Goal::Min), every: None, ..Retention::default() };
        assert_eq!(kept(&retention, &zeros), [0, 2], "the older of two equal ones");
    }

    #[test]
    fn of_the_snapshots_of_one_batch_only_the_newest_counts_but_for_one_before_a_stop() {
        let at = |global_batch, point, stage: &str| Listed {
            name: SnapshotName { global_batch, point },
            sequence: global_batch * 4 + point as u64 + 1,
            stage: stage.into(),
            measured: [("m".to_owned(), -(global_batch as f64))].into(),
            stopped: false,
        };
        let all = [
            at(1, SafePoint::Epoch, "a"),
            at(2, SafePoint::Batch, "a"),
            at(2, SafePoint::Epoch, "a"),
            at(2, SafePoint::Stage, "a"),
            at(2, SafePoint::Run, "b"),
            at(3, SafePoint::Epoch, "b"),
            at(3, SafePoint::Run, "b"),
        ];
        let names = |retention: Retention| {
            let doomed = retention.doomed(&all);
            let kept = all.iter().map(|l| l.name).filter(|name| !doomed.contains(name));
            kept.map(|name| name.to_string().trim_start_matches('0').to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(Retention::default()), ["2-z", "3-z"]);
        assert_eq!(names(Retention { keep_last: 3, ..Retention::default() }), ["1-e", "2-z", "3-z"]);
        let best = Some(KeepBest { k: 2, metric: "m".into(), goal: Goal::Max });
        assert_eq!(names(Retention { keep_last: 1, best, ..Retention::default() }), ["1-e", "2-z", "3-z"]);
        let mut stopped = all.clone();
        stopped[6].stopped = true;
        let doomed: Vec<String> =
            Retention::default().doomed(&stopped).iter().map(|name| name.to_string()).collect();
        assert!(!doomed.contains(&stopped[5].name.to_string()), "the one before the stop stays: {doomed:?}");
    }

    #[test]
    fn a_nan_is_never_the_best_whatever_its_sign_and_place() {
        let nan = f64::NAN.abs();
        for goal in [Goal::Min, Goal::Max] {
            let best = KeepBest { k: 3, metric: "m".into(), goal };
            for values in [[Some(nan), Some(1.0)], [Some(1.0), Some(-nan)], [Some(-nan), Some(1.0)]] {
                let ranked: Vec<f64> =
                    best.ranked(&listed(&values)).iter().map(|l| l.measured["m"]).collect();
                assert_eq!(ranked, [1.0], "{goal:?} of {values:?}");
            }
            let all = listed(&[Some(nan), Some(-nan)]);
            assert!(best.ranked(&all).is_empty() && ranked_metrics(&all).is_empty());
            let retention = Retention { keep_last: 1, best: Some(best), ..Retention::default() };
            assert_eq!(kept(&retention, &all), [1]);
        }
        let all = listed(&[Some(nan), Some(f64::INFINITY)]);
        assert_eq!(ranked_metrics(&all).into_iter().collect::<Vec<_>>(), ["m"]);
    }

    proptest! {
        #[test]
        fn the_newest_is_never_doomed_and_deciding_again_dooms_nobody(
            values in prop::collection::vec(prop::option::of(prop::num::f64::ANY), 1..20),
            keep_last in 0usize..5, k in 0usize..4, every in prop::option::of(0u64..5), max: bool,
        ) {
            let goal = if max { Goal::Max } else { Goal::Min };
            let best = Some(KeepBest { k, metric: "m".into(), goal });
            let retention = Retention { keep_last, best, every, ..Retention::default() };
            let mut all = listed(&values);
            let doomed = retention.doomed(&all);
            prop_assert!(!doomed.contains(&all[all.len() - 1].name));
            all.retain(|l| !doomed.contains(&l.name));
            prop_assert!(all.len() >= keep_last.clamp(1, values.len()));
            prop_assert!(retention.doomed(&all).is_empty());
        }
    }
}
