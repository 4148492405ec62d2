//! How the values of a metric become one.
use serde::{Deserialize, Serialize};

/// How the values that a loader's batches log become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduce {
    /// The mean, each value counting by its batch's weight.
    #[default]
    Mean,
    /// The mean, this value counting by a weight of its own.
    MeanBy(f64),
    /// The sum.
    Sum,
    /// The last value.
    Last,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

/// A metric of the running loader, folded so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Folded {
    pub(super) name: String,
    pub(super) reduce: Reduce,
    #[serde(with = "catena_record::float")]
    folded: f64,
    #[serde(with = "catena_record::float")]
    weight: f64,
    #[serde(with = "catena_record::float")]
    pub(super) last: f64,
    count: u64,
    /// The batch that logged it last, and where its value is among those that wait if it was not read yet.
    #[serde(skip)]
    pub(super) batch: u64,
    #[serde(skip)]
    pub(super) queued: Option<usize>,
}

impl Folded {
    pub(super) fn new(name: &str, reduce: Reduce) -> Self {
        // weights stand beside the values: here only the kind of reduction counts
        let reduce = if let Reduce::MeanBy(_) = reduce { Reduce::MeanBy(1.0) } else { reduce };
        Self {
            name: name.to_owned(),
            reduce,
            folded: 0.0,
            weight: 0.0,
            last: f64::NAN,
            count: 0,
            batch: 0,
            queued: None,
        }
    }

    pub(super) fn fold(&mut self, value: f64, weight: f64) {
        self.last = value;
        self.count += 1;
        match self.reduce {
            Reduce::Mean | Reduce::MeanBy(_) => {
                // a value that counts nothing may be anything, NaN included
                if weight != 0.0 {
                    self.folded += weight * value;
                }
                self.weight += weight;
            }
            Reduce::Sum => self.folded += value,
            Reduce::Last => self.folded = value,
            Reduce::Min if self.count == 1 || value < self.folded || value.is_nan() => self.folded = value,
            Reduce::Max if self.count == 1 || value > self.folded || value.is_nan() => self.folded = value,
            Reduce::Min | Reduce::Max => {}
        }
    }

    pub(super) fn value(&self) -> f64 {
        match self.reduce {
            Reduce::Mean | Reduce::MeanBy(_) => self.folded / self.weight,
            _ => self.folded,
        }
    }
}
