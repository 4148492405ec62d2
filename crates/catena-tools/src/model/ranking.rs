//! Which snapshot is the best.
use std::collections::BTreeMap;

use catena_record::retention::KeepBest;
use catena_record::{Listed, SnapshotName};

/// The best of the snapshots by what was measured of them, and its value.
pub(crate) fn best<'a>(
    by: &KeepBest,
    measured: impl Iterator<Item = (SnapshotName, &'a BTreeMap<String, f64>)>,
) -> Option<(SnapshotName, f64)> {
    // neither the sequence, nor the stage, nor a stop counts in a ranking
    let listed = |(name, measured): (SnapshotName, &BTreeMap<String, f64>)| {
        let (stage, measured) = (String::new(), measured.clone());
        Listed { name, sequence: 0, stage, measured, stopped: false }
    };
    let listed: Vec<Listed> = measured.map(listed).collect();
    let best = by.ranked(&listed).first().copied()?;
    Some((best.name, best.measured.get(&by.metric).copied()?))
}
