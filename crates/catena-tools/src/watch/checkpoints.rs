//! The checkpoints of a run.
use std::collections::BTreeMap;

use catena_record::SnapshotName;
use catena_record::retention::{Goal, KeepBest};

use crate::failure::Result;
use crate::model::ranking;
use crate::model::time::seconds;
use crate::snapshots::{Run, examine};

/// Of how many checkpoints the tables of contents are read, newest first.
const MOST: usize = 256;

/// The checkpoints of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    all: BTreeMap<SnapshotName, Checkpoint>,
    /// How many there are.
    pub(crate) count: usize,
    /// The names of those that were set aside as damaged.
    pub(crate) corrupt: Vec<String>,
    /// The paths of what errors left.
    pub(crate) crashes: Vec<String>,
    /// What the logs lack because it could not be written.
    pub(crate) lost: Vec<String>,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    /// When it was taken, in seconds since 1970.
    pub(crate) time: Option<f64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) measured: BTreeMap<String, f64>,
    /// What is wrong with it.
    pub(crate) damage: Option<String>,
}

impl Checkpoints {
    /// Looks at what is there now. A table of contents is read once.
    pub(crate) fn look(&mut self, run: &Run) -> Result<()> {
        let names = if run.checkpoints.is_dir() { run.names()? } else { Vec::new() };
        self.count = names.len();
        let newest = names.get(names.len().saturating_sub(MOST)..).unwrap_or(&names);
        self.all.retain(|name, checkpoint| newest.binary_search(name).is_ok() && checkpoint.damage.is_none());
        for name in newest {
            if self.all.contains_key(name) {
                continue;
            }
            let Some(seen) = examine(name.to_string(), &run.path(*name), false) else { continue };
            let damage = seen.manifest.is_err().then(|| seen.state());
            let bytes = seen.bytes();
            self.lost = seen.lost();
            let (time, measured) = match seen.manifest {
                Ok(manifest) => (seconds(&manifest.time), manifest.measured),
                Err(_) => (None, BTreeMap::new()),
            };
            self.all.insert(*name, Checkpoint { time, bytes, measured, damage });
        }
        self.corrupt = if run.checkpoints.is_dir() { run.corrupt()? } else { Vec::new() };
        self.crashes = run.aside()?.into_iter().filter(|path| path.starts_with("crash")).collect();
        Ok(())
    }

    /// The newest that is whole.
    pub(crate) fn newest(&self) -> Option<(SnapshotName, &Checkpoint)> {
        self.whole().next_back()
    }

    /// Those that are damaged.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = (SnapshotName, &str)> {
        self.all.iter().filter_map(|(name, checkpoint)| Some((*name, checkpoint.damage.as_deref()?)))
    }

    /// The best by what the run keeps its best by, else by the loss of an evaluation: its name, the metric, its value.
    pub(crate) fn best(&self, by: Option<KeepBest>) -> Option<(SnapshotName, String, f64)> {
        let best = by.or_else(|| {
            let is_eval_loss = |name: &&String| name.ends_with("/loss") && *name != "train/loss";
            let metric = self.newest()?.1.measured.keys().find(is_eval_loss)?.clone();
            Some(KeepBest { k: 1, metric, goal: Goal::Min })
        })?;
        let measured = self.whole().map(|(name, checkpoint)| (name, &checkpoint.measured));
        let (name, value) = ranking::best(&best, measured)?;
        Some((name, best.metric, value))
    }

    fn whole(&self) -> impl DoubleEndedIterator<Item = (SnapshotName, &Checkpoint)> {
        let whole = self.all.iter().filter(|(_, checkpoint)| checkpoint.damage.is_none());
        whole.map(|(name, checkpoint)| (*name, checkpoint))
    }

    #[cfg(test)]
    pub(crate) fn insert(&mut self, name: &str, checkpoint: Checkpoint) {
        self.all.insert(name.parse().unwrap(), checkpoint);
        self.count = self.all.len();
    }
}
