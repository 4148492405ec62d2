//! Epochs of a length of one's own.
use std::collections::BTreeMap;
use std::sync::Arc;

use catena_tensor::data::Start;

use super::{Epoch, Order, settings, wrong};
use crate::{Result, Settings};

/// Epochs of so many samples, one going on where the one before it ended in an endless row of epochs of another order. So each sample still comes once before any comes again.
///
/// ```
/// use catena_data::order::{MiniEpochs, Order, Sequential};
/// use catena_tensor::data::Start;
///
/// let epoch = MiniEpochs::new(4, Sequential).epoch(6, Start { epoch: 2, ..Start::default() })?;
/// assert_eq!([0, 1, 2, 3].map(|position| epoch.at(position).0), [4, 5, 0, 1]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MiniEpochs {
    samples: u64,
    order: Arc<dyn Order>,
}

impl MiniEpochs {
    /// Epochs of `samples`.
    pub fn new(samples: u64, order: impl Order + 'static) -> Self {
        Self { samples, order: Arc::new(order) }
    }
}

struct Stretch {
    begin: u128,
    samples: u64,
    whole: u64,
    epochs: BTreeMap<u64, Arc<dyn Epoch>>,
}

impl Epoch for Stretch {
    fn samples(&self) -> u64 {
        self.samples
    }
    fn at(&self, position: u64) -> (u64, u32) {
        let place = self.begin + u128::from(position);
        let (number, at) = (place / u128::from(self.whole), place % u128::from(self.whole));
        (self.epochs[&(number as u64)].at(at as u64).0, position as u32)
    }
}

impl Order for MiniEpochs {
    fn samples(&self, _: u64) -> Option<u64> {
        Some(self.samples)
    }

    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        self.check(len)?;
        let whole = self.order.samples(len).unwrap_or(0);
        let begin = u128::from(start.epoch.saturating_sub(1)) * u128::from(self.samples);
        let (first, end) = (begin / u128::from(whole), begin + u128::from(self.samples));
        let numbers = first as u64..end.div_ceil(u128::from(whole)) as u64;
        let of = |number| Ok((number, self.order.epoch(len, Start { epoch: number + 1, ..start })?));
        Ok(Arc::new(Stretch {
            begin,
            samples: self.samples,
            whole,
            epochs: numbers.map(of).collect::<Result<_>>()?,
        }))
    }

    fn check(&self, len: u64) -> Result<()> {
        self.order.check(len)?;
        if self.samples == 0 {
            return Err(wrong("MiniEpochs", "samples", 0, "at least 1"));
        }
        match self.order.samples(len) {
            None => Err(wrong("MiniEpochs", "order", "one that makes its own batches", "one that does not")),
            Some(0) => Err(wrong("MiniEpochs", "order", "one without samples", "one that has samples")),
            Some(_) => Ok(()),
        }
    }

    fn describe(&self) -> Settings {
        settings([
            ("name", "mini_epochs".into()),
            ("samples", self.samples.into()),
            ("order", self.order.describe().into()),
        ])
    }
}
