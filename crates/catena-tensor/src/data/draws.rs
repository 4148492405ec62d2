//! Random numbers that belong to a sample: a pure function of seed, stage, loader, epoch and the sample's number.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::Start;
use crate::batch::Batch;

/// The numbers of one sample in one epoch: ChaCha with 8 rounds, keyed by seed, stage and loader (`stage | loader << 32`), epoch (little-endian u64 each) and
/// `purpose`, on the sample's own stream. What a loader thread or a resumed run draws is what any other would have drawn.
///
/// ```
/// use catena_tensor::data::{Start, draws};
/// use rand_chacha::rand_core::Rng;
///
/// let draw = |sample, purpose| draws::of_sample(Start { epoch: 1, ..Start::default() }, sample, purpose).next_u64();
/// assert_eq!(draw(7, *b"crop    "), draw(7, *b"crop    "));
/// assert_ne!(draw(7, *b"crop    "), draw(8, *b"crop    "));
/// assert_ne!(draw(7, *b"crop    "), draw(7, *b"flip    "));
/// ```
pub fn of_sample(start: Start, sample: u64, purpose: [u8; 8]) -> ChaCha8Rng {
    of_occurrence(start, sample, 0, purpose)
}

/// As [`of_sample`], for a sample that an epoch has several times: each [occurrence](crate::batch::Batch::occurrences) draws numbers of its own. It
/// stands in the upper half of the key's epoch; occurrence 0 has those of [`of_sample`].
pub fn of_occurrence(start: Start, sample: u64, occurrence: u32, purpose: [u8; 8]) -> ChaCha8Rng {
    let epoch = start.epoch | u64::from(occurrence) << 32;
    let mut key = [0; 32];
    for (place, number) in key.chunks_exact_mut(8).zip([start.seed, start.place(), epoch]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    key[24..].copy_from_slice(&purpose);
    let mut numbers = ChaCha8Rng::from_seed(key);
    numbers.set_stream(sample);
    numbers
}

/// Standard normal numbers, `each` for every sample, in the samples' order.
///
/// ```
/// use catena_tensor::data::{Start, draws};
///
/// let start = Start::default();
/// let both = draws::normal(start, &[3, 9], 4, *b"noise   ");
/// assert_eq!(both.len(), 8);
/// assert_eq!(both[4..], draws::normal(start, &[9], 4, *b"noise   "));
/// ```
pub fn normal(start: Start, samples: &[u64], each: usize, purpose: [u8; 8]) -> Vec<f32> {
    let mut all = Vec::with_capacity(samples.len() * each);
    for &sample in samples {
        add_normal(&mut all, of_sample(start, sample, purpose), each);
    }
    all
}

/// As [`normal`], for the samples of a batch: one that it has twice draws twice.
///
/// ```
/// use catena_tensor::batch::Batch;
/// use catena_tensor::data::{Start, draws};
///
/// let batch = Batch { ids: vec![3, 3], occurrences: vec![0, 1], ..Batch::default() };
/// let noise = draws::normal_of(Start::default(), &batch, 4, *b"noise   ");
/// assert_eq!(noise[..4], draws::normal(Start::default(), &[3], 4, *b"noise   "));
/// assert_ne!(noise[..4], noise[4..]);
/// ```
pub fn normal_of(start: Start, batch: &Batch, each: usize, purpose: [u8; 8]) -> Vec<f32> {
    let mut all = Vec::with_capacity(batch.ids.len() * each);
    for (sample, occurrence) in batch.samples_drawn() {
        add_normal(&mut all, of_occurrence(start, sample, occurrence, purpose), each);
    }
    all
}

fn add_normal(all: &mut Vec<f32>, numbers: ChaCha8Rng, each: usize) {
    all.extend(StandardNormal.sample_iter(numbers).take(each).map(|number: f32| number));
}
