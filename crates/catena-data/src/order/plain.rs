//! All samples, or some: in their order or shuffled.
use std::sync::Arc;

use catena_tensor::data::{Start, order};

use super::feistel::{Feistel, SMALL};
use super::{Epoch, Listed, Order, fingerprint, settings, wrong};
use crate::{Result, Settings};

/// The samples in their order, as PyTorch's `SequentialSampler` has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

/// Each epoch in an order of its own, each sample once, as PyTorch's `RandomSampler` has them.
///
/// Up to 65,536 samples it is [`catena_tensor::data::order::shuffled`]; above, a Feistel network of 16 rounds that is walked until it is inside, which needs no memory. Neither changes between versions of
/// catena.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

/// Some of the samples, by their numbers, as PyTorch's `Subset` has them; shuffled anew each epoch if asked for.
///
/// ```
/// use catena_data::order::{Order, Subset};
/// use catena_tensor::data::Start;
///
/// let epoch = Subset::new([7, 3, 5]).epoch(10, Start::default())?;
/// assert_eq!([0, 1, 2].map(|position| epoch.at(position).0), [7, 3, 5]);
/// assert!(Subset::new([10]).check(10).is_err());
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subset {
    samples: Vec<u64>,
    shuffle: bool,
    has_twice: bool,
}

impl Subset {
    /// These samples, in this order. One that is named twice comes twice, and draws twice.
    pub fn new(samples: impl Into<Vec<u64>>) -> Self {
        let samples = samples.into();
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        let has_twice = sorted.windows(2).any(|pair| pair[0] == pair[1]);
        Self { samples, shuffle: false, has_twice }
    }

    /// Whether each epoch has an order of its own (default false).
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }
}

struct InOrder(u64);

impl Epoch for InOrder {
    fn samples(&self) -> u64 {
        self.0
    }
    fn at(&self, position: u64) -> (u64, u32) {
        (position, 0)
    }
}

impl Order for Sequential {
    fn samples(&self, len: u64) -> Option<u64> {
        Some(len)
    }
    fn epoch(&self, len: u64, _: Start) -> Result<Arc<dyn Epoch>> {
        Ok(Arc::new(InOrder(len)))
    }
    fn describe(&self) -> Settings {
        settings([("name", "sequential".into())])
    }
}

/// A random permutation of `0..len`.
pub(super) fn permutation(len: u64, start: Start) -> Arc<dyn Epoch> {
    if len <= SMALL {
        let samples = order::shuffled(len, start);
        Arc::new(Listed { samples, occurrences: None, batch_ends: None })
    } else {
        Arc::new(Feistel::new(len, start))
    }
}

impl Order for Random {
    fn samples(&self, len: u64) -> Option<u64> {
        Some(len)
    }
    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        Ok(permutation(len, start))
    }
    fn describe(&self) -> Settings {
        settings([("name", "random".into()), ("version", order::VERSION.into())])
    }
}

struct Part {
    samples: Vec<u64>,
    has_twice: bool,
    places: Arc<dyn Epoch>,
}

impl Epoch for Part {
    fn samples(&self) -> u64 {
        self.samples.len() as u64
    }
    fn at(&self, position: u64) -> (u64, u32) {
        let place = self.places.at(position).0;
        (self.samples[place as usize], if self.has_twice { place as u32 } else { 0 })
    }
}

impl Order for Subset {
    fn samples(&self, _: u64) -> Option<u64> {
        Some(self.samples.len() as u64)
    }
    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        self.check(len)?;
        let count = self.samples.len() as u64;
        let places = if self.shuffle { permutation(count, start) } else { Arc::new(InOrder(count)) };
        Ok(Arc::new(Part { samples: self.samples.clone(), has_twice: self.has_twice, places }))
    }
    fn check(&self, len: u64) -> Result<()> {
        match self.samples.iter().position(|sample| *sample >= len) {
            Some(at) => {
                let name = format!("samples[{at}]");
                Err(wrong("Subset", &name, self.samples[at], format!("below {len}, the data set's length")))
            }
            None => Ok(()),
        }
    }
    fn describe(&self) -> Settings {
        settings([
            ("name", "subset".into()),
            ("samples", self.samples.len().into()),
            ("samples_sha256", fingerprint(&self.samples).into()),
            ("shuffle", self.shuffle.into()),
        ])
    }
}
