//! The curves of a run, by what they are of: not more than a page can show.
use std::collections::BTreeMap;

use super::curve::{Curve, Point};
use super::name::Name;

/// How many curves are read of a run.
pub(crate) const MOST: usize = 400;

/// Curves by what they are of.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    pub(crate) named: BTreeMap<Name, Curve>,
    /// Whether names were left out because there are too many.
    pub(crate) is_full: bool,
}

impl Curves {
    /// Adds a point to a curve.
    pub(crate) fn push(&mut self, name: Name, point: Point) {
        if self.has_room_for(&name) {
            self.named.entry(name).or_default().push(point);
        } else {
            self.is_full = true;
        }
    }

    /// Adds the curves of another file.
    pub(crate) fn join(&mut self, other: Self) {
        self.is_full |= other.is_full;
        for (name, curve) in other.named {
            if self.has_room_for(&name) {
                self.named.insert(name, curve);
            } else {
                self.is_full = true;
            }
        }
    }

    fn has_room_for(&self, name: &Name) -> bool {
        self.named.len() < MOST || self.named.contains_key(name)
    }
}
