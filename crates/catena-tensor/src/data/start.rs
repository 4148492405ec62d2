//! Where a pass over a loader starts.
use std::ops::Range;

use super::Position;
use crate::error::{BoxError, Error};

/// Where a pass over a loader starts, and what its order is a function of.
///
/// The batch size is that of all processes together: rank r of `world` gets its [share](Start::share) of each batch, and has as many batches as
/// one process would have. No order and no draw depends on a rank.
///
/// ```
/// use catena_tensor::data::Start;
///
/// let start = Start { seed: 7, epoch: 1, ..Start::default() };
/// assert_eq!((start.rank, start.world, start.until), (0, 1, None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start<'a> {
    /// The run's seed.
    pub seed: u64,
    /// The stage's number, from 0.
    pub stage: u64,
    /// The loader's number in its stage: Train loaders count first, from 0, in their order, then the others. So no evaluation that is put in
    /// changes the order of what is trained on.
    pub loader: u64,
    /// The epoch in its stage, from 1.
    pub epoch: u64,
    /// How many batches of the epoch to pass over: 0, or where a stopped run goes on.
    pub batch: u64,
    /// The batch before which the pass will be left, if that is known: no batch from this number on is asked for.
    pub until: Option<u64>,
    /// Which of the processes this one is, from 0.
    pub rank: u64,
    /// How many processes train together (1).
    pub world: u64,
    /// What [`Loader::position`](super::Loader::position) was after the last batch that is passed over; none at an epoch's beginning.
    pub position: Option<&'a Position>,
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self {
            seed: 0,
            stage: 0,
            loader: 0,
            epoch: 0,
            batch: 0,
            until: None,
            rank: 0,
            world: 1,
            position: None,
        }
    }
}

impl Start<'_> {
    /// Which places of a batch of `samples` are this rank's: `samples * rank / world` up to that of the next rank, both rounded down. All ranks' shares one
    /// after the other are the batch; one may be empty.
    ///
    /// ```
    /// use catena_tensor::data::Start;
    ///
    /// let share = |rank| Start { rank, world: 3, ..Start::default() }.share(8);
    /// assert_eq!([share(0), share(1), share(2)], [0..2, 2..5, 5..8]);
    /// ```
    pub fn share(&self, samples: u64) -> Range<u64> {
        let end = |rank: u64| (u128::from(samples) * u128::from(rank) / u128::from(self.world.max(1))) as u64;
        end(self.rank)..end(self.rank + 1)
    }

    /// Refuses a rank that its world does not have.
    pub fn check(&self) -> Result<(), BoxError> {
        if self.rank < self.world {
            return Ok(());
        }
        Err(Error::Setting {
            of: "Start".into(),
            name: "rank".into(),
            got: self.rank.to_string(),
            allowed: format!("below `world`, which is {}, and that at least 1", self.world),
        }
        .into())
    }

    /// The same without a position, to be kept.
    pub fn unplaced(&self) -> Start<'static> {
        let Self { seed, stage, loader, epoch, batch, until, rank, world, position: _ } = *self;
        Start { seed, stage, loader, epoch, batch, until, rank, world, position: None }
    }

    /// Stage and loader in one number of the keys of orders and draws: a stage's first loader has the number that the stage has.
    pub(super) fn place(&self) -> u64 {
        self.stage | self.loader << 32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ranks_shares_are_the_batch_and_those_of_more_ranks_divide_them(samples in 0u64..1000, world in 1u64..9) {
            let shares = |world| (0..world).map(move |rank| Start { rank, world, ..Start::default() }.share(samples));
            prop_assert!(shares(world).flatten().eq(0..samples));
            let ends: Vec<_> = shares(2 * world).map(|share| share.end).collect();
            prop_assert!(shares(world).all(|share| ends.contains(&share.end)));
        }
    }

    #[test]
    fn a_rank_that_the_world_lacks_is_refused() {
        for (rank, world) in [(1, 1), (0, 0), (4, 3)] {
            let text = Start { rank, world, ..Start::default() }.check().unwrap_err().to_string();
            assert!(text.contains("`rank`") && text.contains(&format!("which is {world}")), "{text}");
        }
        assert_eq!(Start { rank: 3, world: u64::MAX, ..Start::default() }.share(u64::MAX), 3..4);
    }
}
