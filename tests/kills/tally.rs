//! How many kills fell where.
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::places::{Training, Writing};

/// Kills by place: each has one for the thread that trains, and one for the thread that writes.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<(Training, Writing), usize>);

/// A place that a kill can be aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Training(Training),
    Writing(Writing),
}

impl Place {
    /// Those that a kill must have fallen in often enough.
    pub(crate) const REQUIRED: [Self; 4] = [
        Self::Training(Training::Batch),
        Self::Training(Training::Evaluation),
        Self::Writing(Writing::Unnamed),
        Self::Writing(Writing::Renamed),
    ];

    /// Those that are aimed at besides.
    pub(crate) const OTHERS: [Self; 3] = [
        Self::Training(Training::Starting),
        Self::Training(Training::Between),
        Self::Writing(Writing::Removing),
    ];
}

impl Tally {
    pub(crate) fn add(&mut self, training: Training, writing: Writing) {
        *self.0.entry((training, writing)).or_default() += 1;
    }

    pub(crate) fn kills(&self) -> usize {
        self.0.values().sum()
    }

    pub(crate) fn of(&self, place: Place) -> usize {
        let is_there = |training: Training, writing: Writing| match place {
            Place::Training(there) => training == there,
            Place::Writing(there) => writing == there,
        };
        self.0.iter().filter(|((training, writing), _)| is_there(*training, *writing)).map(|(_, n)| n).sum()
    }

    /// The required place with the fewest kills.
    pub(crate) fn rarest(&self) -> Place {
        Place::REQUIRED.into_iter().min_by_key(|place| self.of(*place)).unwrap_or(Place::REQUIRED[0])
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:26}", "training \\ writing")?;
        for writing in Writing::ALL {
            write!(f, "{:>18}", writing_name(writing))?;
        }
        writeln!(f, "{:>6}", "all")?;
        for training in Training::ALL {
            let row = Writing::ALL.map(|writing| self.0.get(&(training, writing)).copied().unwrap_or(0));
            if row == [0; 4] {
                continue;
            }
            write!(f, "{:26}", training_name(training))?;
            for n in row {
                write!(f, "{n:>18}")?;
            }
            writeln!(f, "{:>6}", row.iter().sum::<usize>())?;
        }
        write!(f, "{:26}", "all")?;
        for writing in Writing::ALL {
            write!(f, "{:>18}", self.of(Place::Writing(writing)))?;
        }
        write!(f, "{:>6}", self.kills())
    }
}

fn training_name(at: Training) -> &'static str {
    match at {
        Training::Loading => "loading the program",
        Training::Starting => "before the first batch",
        Training::Batch => "inside a batch",
        Training::Evaluation => "inside an evaluation",
        Training::Between => "between",
    }
}

fn writing_name(at: Writing) -> &'static str {
    match at {
        Writing::Elsewhere => "elsewhere",
        Writing::Unnamed => "before the rename",
        Writing::Renamed => "before the fsync",
        Writing::Removing => "removing old ones",
    }
}
