//! The order of an epoch's samples: a pure function of seed, stage, loader and epoch.
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Start;

/// Which order [`shuffled`] gives: another one would have another number. Loaders that shuffle describe themselves with it.
pub const VERSION: u64 = 1;

/// A permutation of `0..n` that depends on the seed, the stage, the loader and the epoch of `start`, and on nothing else.
///
/// The numbers come from ChaCha with 8 rounds, whose key is seed, stage and loader (`stage | loader << 32`) and epoch (little-endian u64 each) and the eight bytes
/// `catena/o`; the permutation is Fisher and Yates' from the last place down, each place drawn by multiplication with
/// rejection (Lemire 2019, "Fast random integer generation in an interval"). It never changes between versions of catena.
///
/// ```
/// use catena_tensor::data::{Start, order};
///
/// let epoch = |epoch| order::shuffled(5, Start { epoch, ..Start::default() });
/// assert_eq!(epoch(1), epoch(1));
/// assert_ne!(epoch(1), epoch(2));
/// ```
pub fn shuffled(n: u64, start: Start) -> Vec<u64> {
    let mut key = [0; 32];
    for (place, number) in key.chunks_exact_mut(8).zip([start.seed, start.place(), start.epoch]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    key[24..].copy_from_slice(b"catena/o");
    let mut numbers = ChaCha8Rng::from_seed(key);
    let mut order: Vec<u64> = (0..n).collect();
    shuffle(&mut order, &mut numbers);
    order
}

/// Shuffles in place, as [`shuffled`] does: Fisher and Yates from the last place down.
pub fn shuffle<T>(items: &mut [T], numbers: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        let j = below(i as u64 + 1, numbers) as usize;
        items.swap(i, j);
    }
}

/// A uniform number below `n` (below 1 for 0), by Lemire's multiplication with rejection.
pub fn below(n: u64, numbers: &mut ChaCha8Rng) -> u64 {
    let n = n.max(1);
    loop {
        let product = u128::from(numbers.next_u64()) * u128::from(n);
        if product as u64 >= n.wrapping_neg() % n {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_order_is_a_permutation(n in 0u64..300, seed: u64, stage in 0u64..4, epoch in 1u64..100) {
            let mut order = shuffled(n, Start { seed, stage, epoch, ..Start::default() });
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..n));
        }

        #[test]
        fn the_batch_a_run_goes_on_from_does_not_matter(batch: u64) {
            let start = Start { seed: 1, epoch: 3, ..Start::default() };
            prop_assert_eq!(shuffled(50, start), shuffled(50, Start { batch, ..start }));
        }
    }

    #[test]
    fn seed_stage_loader_and_epoch_each_change_the_order() {
        let start = Start { seed: 1, stage: 1, epoch: 1, ..Start::default() };
        let orders = [
            start,
            Start { seed: 2, ..start },
            Start { stage: 2, ..start },
            Start { loader: 1, ..start },
            Start { stage: 0, loader: 1, ..start },
            Start { epoch: 2, ..start },
        ];
        let orders = orders.map(|start| shuffled(100, start));
        for (i, order) in orders.iter().enumerate() {
            assert!(!orders[..i].contains(order));
        }
    }
}
