//! Orders: which samples an epoch has, and in which batches.
//!
//! An order is a function of the start (seed, stage, loader, epoch) and nothing else. It is the order of all processes together: a rank has its share of each batch.
mod balanced;
mod by_length;
mod feistel;
mod mini_epochs;
mod plain;
mod weighted;

pub use balanced::Balanced;
pub use by_length::ByLength;
pub use mini_epochs::MiniEpochs;
pub use plain::{Random, Sequential, Subset};
pub use weighted::Weighted;

use std::fmt::Debug;
use std::sync::Arc;

use catena_tensor::data::Start;
use sha2::{Digest, Sha256};

use crate::{Result, Settings};

/// Which samples an epoch has, in which order.
pub trait Order: Debug + Send + Sync {
    /// How many samples an epoch has, if that is the same for each.
    fn samples(&self, len: u64) -> Option<u64>;

    /// The epoch of this start, of a data set of `len` samples. It is the same whatever the start's batch, rank and limit are.
    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>>;

    /// What is wrong with its settings for a data set of `len` samples.
    fn check(&self, len: u64) -> Result<()> {
        let _ = len;
        Ok(())
    }

    /// What it says of itself, its name among it. A resume compares it.
    fn describe(&self) -> Settings;
}

/// An epoch's order. Worker threads ask it side by side.
pub trait Epoch: Send + Sync {
    /// How many samples it has.
    fn samples(&self) -> u64;

    /// The sample at a position below [`Epoch::samples`], and a number that tells its occurrences in the epoch from each other.
    fn at(&self, position: u64) -> (u64, u32);

    /// Where each batch ends, if the order makes the batches itself; the last end is [`Epoch::samples`]. By default the loader cuts batches of its batch size.
    fn batch_ends(&self) -> Option<&[u64]> {
        None
    }
}

/// Samples that are listed, each with its occurrence if one may come twice.
pub(crate) struct Listed {
    pub(crate) samples: Vec<u64>,
    pub(crate) occurrences: Option<Vec<u32>>,
    pub(crate) batch_ends: Option<Vec<u64>>,
}

impl Epoch for Listed {
    fn samples(&self) -> u64 {
        self.samples.len() as u64
    }
    fn at(&self, position: u64) -> (u64, u32) {
        let at = position as usize;
        (self.samples[at], self.occurrences.as_ref().map_or(0, |occurrences| occurrences[at]))
    }
    fn batch_ends(&self) -> Option<&[u64]> {
        self.batch_ends.as_deref()
    }
}

pub(crate) fn wrong(
    of: &str,
    name: &str,
    got: impl ToString,
    allowed: impl Into<String>,
) -> catena_tensor::BoxError {
    catena_tensor::Error::Setting {
        of: of.into(),
        name: name.into(),
        got: got.to_string(),
        allowed: allowed.into(),
    }
    .into()
}

/// Settings of these names and values.
pub(crate) fn settings<const N: usize>(entries: [(&str, serde_json::Value); N]) -> Settings {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A hash of numbers, so that others are told from them.
pub(crate) fn fingerprint<T: bytemuck::NoUninit>(numbers: &[T]) -> String {
    let hash = Sha256::digest(bytemuck::cast_slice::<T, u8>(numbers));
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
