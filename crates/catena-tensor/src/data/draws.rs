//! Random numbers that belong to a sample: a pure function of seed, stage, epoch and the sample's number.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::Start;

/// The numbers of one sample in one epoch: ChaCha with 8 rounds, keyed by seed, stage, epoch (little-endian u64 each) and
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
    let mut key = [0; 32];
    for (place, number) in key.chunks_exact_mut(8).zip([start.seed, start.stage, start.epoch]) {
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
        let numbers = of_sample(start, sample, purpose);
        all.extend(StandardNormal.sample_iter(numbers).take(each).map(|number: f32| number));
    }
    all
}
