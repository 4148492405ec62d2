//! Samples of like length together, and as many in a batch as a budget of tokens allows.
use std::sync::Arc;

use catena_tensor::data::{Start, draws, order};

use super::plain::permutation;
use super::{Epoch, Listed, Order, fingerprint, settings, wrong};
use crate::{Result, Settings};

/// Batches by length: the samples are shuffled, each window of them sorted by length and cut into batches that padded have at most `budget` tokens (longest times count), and
/// the batches shuffled. The loader's batch size is the most samples that a batch may have. The number of batches differs between epochs.
///
/// ```
/// use catena_data::order::{ByLength, Order};
/// use catena_tensor::data::Start;
///
/// let lengths = [9, 2, 2, 8, 1, 9];
/// let epoch = ByLength::new(lengths, 18).epoch(6, Start::default())?;
/// let mut begin = 0;
/// for &end in epoch.batch_ends().unwrap() {
///     let longest = (begin..end).map(|at| lengths[epoch.at(at).0 as usize]).max().unwrap();
///     assert!(u64::from(longest) * (end - begin) <= 18);
///     begin = end;
/// }
/// assert_eq!(begin, 6);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ByLength {
    lengths: Vec<u32>,
    budget: u64,
    window: u64,
    most: u64,
}

impl ByLength {
    /// By each sample's length; a batch has at most `budget` tokens, padding included.
    pub fn new(lengths: impl Into<Vec<u32>>, budget: u64) -> Self {
        Self { lengths: lengths.into(), budget, window: 4096, most: u64::MAX }
    }

    /// How many samples are sorted together (default 4,096): more pad less, and mix less.
    #[must_use]
    pub fn window(mut self, samples: u64) -> Self {
        self.window = samples;
        self
    }

    /// How many samples a batch has at most (no bound).
    #[must_use]
    pub fn at_most(mut self, samples: u64) -> Self {
        self.most = samples;
        self
    }
}

impl Order for ByLength {
    fn samples(&self, _: u64) -> Option<u64> {
        None
    }

    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        self.check(len)?;
        let all = permutation(len, start);
        let mut samples: Vec<u64> = (0..len).map(|at| all.at(at).0).collect();
        let mut batches = Vec::new();
        let window = usize::try_from(self.window).unwrap_or(usize::MAX);
        for (part, begin) in samples.chunks_mut(window).zip((0..).step_by(window.min(1 << 48))) {
            // a stable sort leaves samples of one length as they were shuffled
            part.sort_by_key(|sample| self.lengths[*sample as usize]);
            let mut from = 0;
            for to in 1..=part.len() {
                let is_full = part.get(to).is_none_or(|next| {
                    let count = (to - from + 1) as u64;
                    count > self.most || count * u64::from(self.lengths[*next as usize]) > self.budget
                });
                if is_full {
                    batches.push(begin + from..begin + to);
                    from = to;
                }
            }
        }
        order::shuffle(&mut batches, &mut draws::of_sample(start, 0, *b"catena/l"));
        let (mut ordered, mut ends) = (Vec::with_capacity(samples.len()), Vec::with_capacity(batches.len()));
        for batch in batches {
            ordered.extend_from_slice(&samples[batch]);
            ends.push(ordered.len() as u64);
        }
        Ok(Arc::new(Listed { samples: ordered, occurrences: None, batch_ends: Some(ends) }))
    }

    fn check(&self, len: u64) -> Result<()> {
        if self.lengths.len() as u64 != len {
            let allowed = format!("as many as the data set has samples, which is {len}");
            return Err(wrong("ByLength", "lengths", format!("{} numbers", self.lengths.len()), allowed));
        }
        for (name, value) in [("window", self.window), ("at_most", self.most), ("budget", self.budget)] {
            if value == 0 {
                return Err(wrong("ByLength", name, 0, "at least 1"));
            }
        }
        match self.lengths.iter().position(|length| u64::from(*length) > self.budget) {
            Some(at) => {
                let allowed =
                    format!("at most the budget of {}: shorten the sample or raise it", self.budget);
                Err(wrong("ByLength", &format!("lengths[{at}]"), self.lengths[at], allowed))
            }
            None => Ok(()),
        }
    }

    fn describe(&self) -> Settings {
        settings([
            ("name", "by_length".into()),
            ("budget", self.budget.into()),
            ("window", self.window.into()),
            ("at_most", (self.most != u64::MAX).then_some(self.most).into()),
            ("lengths_sha256", fingerprint(&self.lengths).into()),
        ])
    }
}
