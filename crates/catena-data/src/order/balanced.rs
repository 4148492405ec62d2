//! As many samples of each class.
use std::sync::Arc;

use catena_tensor::data::{Start, draws, order};

use super::{Epoch, Listed, Order, fingerprint, settings, wrong};
use crate::{Result, Settings};

/// The classes in turn, so that each batch has as many samples of each, to one. A class that is exhausted begins anew in another order; an epoch is over when the largest class is.
/// Classes without a sample are passed over.
///
/// ```
/// use catena_data::order::{Balanced, Order};
/// use catena_tensor::data::Start;
///
/// let labels = [0, 0, 0, 1];
/// let epoch = Balanced::new(labels).epoch(4, Start::default())?;
/// assert_eq!(epoch.samples(), 6);
/// assert!((0..6).all(|at| u64::from(labels[epoch.at(at).0 as usize]) == at % 2));
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Balanced {
    classes: Vec<Vec<u64>>,
    labels: u64,
    labels_sha256: String,
}

impl Balanced {
    /// By each sample's label.
    pub fn new(labels: impl Into<Vec<u32>>) -> Self {
        let labels = labels.into();
        let mut classes: std::collections::BTreeMap<u32, Vec<u64>> = Default::default();
        for (label, sample) in labels.iter().zip(0..) {
            classes.entry(*label).or_default().push(sample);
        }
        let labels_sha256 = fingerprint(&labels);
        Self { classes: classes.into_values().collect(), labels: labels.len() as u64, labels_sha256 }
    }

    fn largest(&self) -> usize {
        self.classes.iter().map(Vec::len).max().unwrap_or(0)
    }
}

impl Order for Balanced {
    fn samples(&self, _: u64) -> Option<u64> {
        Some((self.largest() * self.classes.len()) as u64)
    }

    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        self.check(len)?;
        let (count, each) = (self.classes.len(), self.largest());
        let mut samples = vec![0; count * each];
        let mut occurrences = vec![0; count * each];
        for (class, members) in self.classes.iter().enumerate() {
            let mut members = members.clone();
            let length = members.len();
            for turn in 0..each {
                let (cycle, at) = (turn / length, turn % length);
                if at == 0 {
                    members.sort_unstable();
                    let mut numbers = draws::of_occurrence(start, class as u64, cycle as u32, *b"catena/b");
                    order::shuffle(&mut members, &mut numbers);
                }
                samples[turn * count + class] = members[at];
                occurrences[turn * count + class] = cycle as u32;
            }
        }
        Ok(Arc::new(Listed { samples, occurrences: Some(occurrences), batch_ends: None }))
    }

    fn check(&self, len: u64) -> Result<()> {
        if self.labels == len {
            return Ok(());
        }
        let allowed = format!("as many as the data set has samples, which is {len}");
        Err(wrong("Balanced", "labels", format!("{} numbers", self.labels), allowed))
    }

    fn describe(&self) -> Settings {
        settings([("name", "balanced".into()), ("labels_sha256", self.labels_sha256.clone().into())])
    }
}
