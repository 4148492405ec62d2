//! What a sample draws.
use std::collections::BTreeMap;

use catena_tensor::data::{Start, draws};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The random numbers of one sample in one epoch: a generator for each thing that draws, by its name. A thing's numbers depend on the
/// seed, the stage, the loader, the epoch, the sample, which of its occurrences in the epoch it is, the thing's name, and how many of that
/// name stand before it; so what is put in between moves no other's numbers.
///
/// ```
/// use catena_data::Draws;
/// use catena_tensor::data::Start;
/// use rand_chacha::rand_core::Rng;
///
/// let mut draws = Draws::new(Start { epoch: 1, ..Start::default() }, 7, 0);
/// let (crop, flip, other_crop) = (draws.of("crop").next_u64(), draws.of("flip").next_u64(), draws.of("crop").next_u64());
/// let mut again = Draws::new(Start { epoch: 1, ..Start::default() }, 7, 0);
/// assert_eq!(again.of("flip").next_u64(), flip);
/// assert_eq!(again.of("crop").next_u64(), crop);
/// assert_ne!(crop, other_crop);
/// ```
#[derive(Clone, Debug)]
pub struct Draws {
    start: Start<'static>,
    sample: u64,
    occurrence: u32,
    taken: BTreeMap<String, u64>,
}

impl Draws {
    /// What `sample` draws in the epoch of `start`; `occurrence` tells its occurrences in the epoch from each other, and is 0 if there is only one.
    pub fn new(start: Start, sample: u64, occurrence: u32) -> Self {
        Self { start: start.unplaced(), sample, occurrence, taken: BTreeMap::new() }
    }

    /// The generator of the next thing of this name.
    pub fn of(&mut self, name: &str) -> ChaCha8Rng {
        let taken = self.taken.entry(name.to_owned()).or_default();
        let nth = *taken;
        *taken += 1;
        let hash =
            Sha256::new().chain_update(name).chain_update([0]).chain_update(nth.to_le_bytes()).finalize();
        let mut purpose = [0; 8];
        purpose.copy_from_slice(&hash[..8]);
        draws::of_occurrence(self.start, self.sample, self.occurrence, purpose)
    }
}
