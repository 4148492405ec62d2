//! Where epochs end, in batches.
use super::ruler::Ruler;
use crate::model::plan::Plan;

/// The epochs that were seen, and the last batch of each.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    seen: Vec<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    stage: String,
    number: u64,
    last: u64,
}

/// How many epochs are remembered.
const MOST: usize = 100_000;

impl Epochs {
    pub(crate) fn saw(&mut self, stage: &str, number: u64, batch: u64) {
        let same = |epoch: &Epoch| epoch.number == number && epoch.stage == stage;
        match self.seen.iter().rposition(same) {
            Some(at) => self.seen[at].last = self.seen[at].last.max(batch),
            None if self.seen.len() < MOST => {
                self.seen.push(Epoch { stage: stage.to_owned(), number, last: batch });
            }
            None => {}
        }
    }

    /// Adds those that another file tells of.
    pub(crate) fn join(&mut self, other: Self) {
        other.seen.iter().for_each(|epoch| self.saw(&epoch.stage, epoch.number, epoch.last));
    }

    /// Epochs by batch. The last one may be going on: it is as long as its loaders say, or as the one before it.
    pub(crate) fn ruler(mut self, plan: &Plan) -> Ruler {
        self.seen.sort_by_key(|epoch| epoch.last);
        let mut ruler = Ruler::from_zero();
        let Some(last) = self.seen.pop() else { return ruler };
        for (i, epoch) in self.seen.iter().enumerate() {
            ruler.add(epoch.last as f64, (i + 1) as f64);
        }
        let (start, count) = ruler.last().unwrap_or_default();
        let before = match self.seen.as_slice() {
            [] => last.last,
            [only] => only.last,
            [.., a, b] => b.last - a.last,
        };
        let length = plan.batches_of(&last.stage).unwrap_or(before) as f64;
        ruler.add((last.last as f64).max(start + length), count + 1.0);
        ruler
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_stages_follow_on_each_other() {
        let mut epochs = Epochs::default();
        for (stage, number, batch) in [("a", 1, 5), ("a", 1, 10), ("a", 2, 20), ("b", 1, 25), ("b", 2, 27)] {
            epochs.saw(stage, number, batch);
        }
        let ruler = epochs.ruler(&Plan::default());
        let at = [5.0, 10.0, 20.0, 25.0, 27.0, 30.0].map(|batch| ruler.at(batch));
        assert_eq!(at, [0.5, 1.0, 2.0, 3.0, 3.4, 4.0].map(Some));
    }

    #[test]
    fn a_run_without_epochs_has_no_axis_of_them() {
        assert!(!Epochs::default().ruler(&Plan::default()).is_known());
    }
}
