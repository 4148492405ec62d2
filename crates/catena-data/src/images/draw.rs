//! Numbers in a range, of a sample's generator.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Uniform in [0, 1), in steps of 2^-53.
pub(super) fn unit(numbers: &mut ChaCha8Rng) -> f64 {
    (numbers.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Uniform in [low, high).
pub(super) fn between(numbers: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(numbers)
}

/// A whole number from 0 to `last`, which is included. Of 2^64 values at most one in 2^32 falls to another number than in an even share.
pub(super) fn up_to(numbers: &mut ChaCha8Rng, last: usize) -> usize {
    ((u128::from(numbers.next_u64()) * (last as u128 + 1)) >> 64) as usize
}

/// True with this probability.
pub(super) fn happens(numbers: &mut ChaCha8Rng, probability: f64) -> bool {
    unit(numbers) < probability
}

/// e^x over the logarithms of a range, by `libm`, so that all machines give the same bits.
pub(super) fn log_between(numbers: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    libm::exp(between(numbers, [libm::log(low), libm::log(high)]))
}
