//! A random permutation of a large range in constant memory.
use catena_tensor::data::{Start, draws};
use rand_chacha::rand_core::Rng;

use super::Epoch;

/// Up to so many samples a permutation is listed, which is exactly uniform; a cipher on so small a range is not.
pub(super) const SMALL: u64 = 1 << 16;

/// A Feistel network of 16 rounds on as few bits as hold the range, walked until it is inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). The round function is SplitMix64's finaliser; round keys
/// are the first 16 numbers that sample 0 draws under `catena/f`.
pub(super) struct Feistel {
    len: u64,
    low_bits: u32,
    high_bits: u32,
    keys: [u64; 16],
}

impl Feistel {
    pub(super) fn new(len: u64, start: Start) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let mut numbers = draws::of_sample(start, 0, *b"catena/f");
        let keys = std::array::from_fn(|_| numbers.next_u64());
        Self { len, low_bits: bits.div_ceil(2), high_bits: bits / 2, keys }
    }

    fn once(&self, number: u64) -> u64 {
        let (low_mask, high_mask) = ((1 << self.low_bits) - 1, (1 << self.high_bits) - 1);
        let (mut low, mut high) = (number & low_mask, number >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            high ^= mixed(low ^ pair[0]) & high_mask;
            low ^= mixed(high ^ pair[1]) & low_mask;
        }
        high << self.low_bits | low
    }
}

impl Epoch for Feistel {
    fn samples(&self) -> u64 {
        self.len
    }
    fn at(&self, position: u64) -> (u64, u32) {
        let mut number = self.once(position);
        while number >= self.len {
            number = self.once(number);
        }
        (number, 0)
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014, with Stafford's constants).
fn mixed(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
