//! What is known of a snapshot without reading it: what retention and rankings go by.
use std::collections::BTreeMap;

use crate::name::SnapshotName;

/// A snapshot that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: SnapshotName,
    /// Which snapshot of the run it is, from 1.
    pub sequence: u64,
    /// The stage it was taken in.
    pub stage: String,
    /// What was measured of just its parameters.
    pub measured: BTreeMap<String, f64>,
    /// Whether a stop had cut something short before it was taken: who forgets the stop goes on from one before it.
    pub stopped: bool,
}
