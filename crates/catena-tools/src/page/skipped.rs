//! The steps that were skipped, by whom.
use std::collections::BTreeMap;

/// How many steps of a run were skipped, and where, by what the journal says of them.
#[derive(Debug, Default)]
pub(crate) struct Skipped(BTreeMap<String, Steps>);

/// Those of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) count: u64,
    /// The first and the last Train batch of the run in which it happened.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// How many kinds are told apart; a run has a few.
const MOST: usize = 100;

impl Skipped {
    pub(crate) fn add(&mut self, who: String, batch: u64) {
        if self.0.len() >= MOST && !self.0.contains_key(&who) {
            return;
        }
        let steps = self.0.entry(who).or_insert(Steps { count: 0, first: batch, last: batch });
        steps.count += 1;
        (steps.first, steps.last) = (steps.first.min(batch), steps.last.max(batch));
    }

    /// Of all kinds.
    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(|steps| steps.count).sum()
    }

    /// Each kind in words, such as `skipped by NanGuard`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Steps)> {
        self.0.iter().map(|(who, steps)| (who.as_str(), *steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_with_its_first_and_last_batch() {
        let mut skipped = Skipped::default();
        for (who, batch) in [("a", 3), ("b", 5), ("a", 9), ("a", 4)] {
            skipped.add(who.into(), batch);
        }
        assert_eq!(skipped.count(), 4);
        let all: Vec<_> = skipped.iter().collect();
        assert_eq!(
            all,
            [("a", Steps { count: 3, first: 3, last: 9 }), ("b", Steps { count: 1, first: 5, last: 5 })]
        );
    }
}
