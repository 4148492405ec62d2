//! Samples by their weights.
use std::sync::Arc;

use catena_tensor::data::{Start, draws, order};
use rand_chacha::rand_core::Rng;

use super::{Epoch, Listed, Order, fingerprint, settings, wrong};
use crate::{Result, Settings};

/// Samples drawn by weight, with replacement or without, as PyTorch's `WeightedRandomSampler` does.
///
/// With replacement each position draws on its own (Vose 1991's table: 16 bytes a sample), and an occurrence has draws of its own. Without, the samples are those with the
/// largest keys `ln(u) / weight` (Efraimidis and Spirakis 2006), sorted anew each epoch; a sample of weight 0 never comes.
///
/// ```
/// use catena_data::order::{Order, Weighted};
/// use catena_tensor::data::Start;
///
/// let epoch = Weighted::new([0.0, 1.0, 0.0], 4).epoch(3, Start::default())?;
/// assert_eq!([0, 1, 2, 3].map(|position| epoch.at(position).0), [1; 4]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Weighted {
    weights: Vec<f64>,
    samples: u64,
    replacement: bool,
    table: Option<Arc<Table>>,
}

impl Weighted {
    /// `samples` draws an epoch, with replacement; one weight for each sample of the data set.
    pub fn new(weights: impl Into<Vec<f64>>, samples: u64) -> Self {
        let weights = weights.into();
        let table = sound(&weights).is_ok().then(|| Arc::new(Table::new(&weights)));
        Self { weights, samples, replacement: true, table }
    }

    /// Whether a sample may come again in an epoch (default true).
    #[must_use]
    pub fn replacement(mut self, replacement: bool) -> Self {
        self.replacement = replacement;
        self
    }
}

fn sound(weights: &[f64]) -> Result<()> {
    let allowed = "finite and not negative";
    if let Some(at) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(wrong("Weighted", &format!("weights[{at}]"), weights[at], allowed));
    }
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        return Err(wrong(
            "Weighted",
            "weights",
            format!("of sum {sum}"),
            "of a sum that is finite and above 0",
        ));
    }
    Ok(())
}

impl Order for Weighted {
    fn samples(&self, _: u64) -> Option<u64> {
        Some(self.samples)
    }

    fn epoch(&self, len: u64, start: Start) -> Result<Arc<dyn Epoch>> {
        self.check(len)?;
        match &self.table {
            Some(table) if self.replacement => {
                Ok(Arc::new(Drawn { table: table.clone(), samples: self.samples, start: start.unplaced() }))
            }
            _ => Ok(Arc::new(without(&self.weights, self.samples, start))),
        }
    }

    fn check(&self, len: u64) -> Result<()> {
        if self.weights.len() as u64 != len {
            let allowed = format!("as many as the data set has samples, which is {len}");
            return Err(wrong("Weighted", "weights", format!("{} numbers", self.weights.len()), allowed));
        }
        sound(&self.weights)?;
        let above_0 = self.weights.iter().filter(|weight| **weight > 0.0).count() as u64;
        if !self.replacement && self.samples > above_0 {
            let allowed = format!("at most {above_0}, for so many weights are above 0");
            return Err(wrong("Weighted", "samples", self.samples, allowed));
        }
        Ok(())
    }

    fn describe(&self) -> Settings {
        settings([
            ("name", "weighted".into()),
            ("samples", self.samples.into()),
            ("replacement", self.replacement.into()),
            ("weights_sha256", fingerprint(&self.weights).into()),
        ])
    }
}

/// For each column how likely it is itself, and which other it is else.
#[derive(Debug)]
struct Table(Vec<(f64, u64)>);

impl Table {
    fn new(weights: &[f64]) -> Self {
        let (n, sum) = (weights.len() as f64, weights.iter().sum::<f64>());
        let mut columns: Vec<(f64, u64)> =
            weights.iter().zip(0..).map(|(weight, at)| (weight / sum * n, at)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|at| columns[*at].0 < 1.0);
        while let (Some(less), Some(&more)) = (small.last().copied(), large.last()) {
            small.pop();
            columns[less].1 = more as u64;
            columns[more].0 = columns[more].0 + columns[less].0 - 1.0;
            if columns[more].0 < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        // what rounding has left over: full, unless its weight is 0
        let heaviest = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap_or(0);
        for at in small.into_iter().chain(large) {
            columns[at] = if weights[at] > 0.0 { (1.0, at as u64) } else { (0.0, heaviest as u64) };
        }
        Self(columns)
    }
}

struct Drawn {
    table: Arc<Table>,
    samples: u64,
    start: Start<'static>,
}

impl Epoch for Drawn {
    fn samples(&self) -> u64 {
        self.samples
    }
    fn at(&self, position: u64) -> (u64, u32) {
        let mut numbers = draws::of_sample(self.start, position, *b"catena/w");
        let column = order::below(self.table.0.len() as u64, &mut numbers);
        let (own, other) = self.table.0[column as usize];
        let uniform = (numbers.next_u64() >> 11) as f64 * UNIT;
        (if uniform < own { column } else { other }, position as u32)
    }
}

/// The distance of two neighbours among the uniform numbers, 2^-53.
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

fn without(weights: &[f64], samples: u64, start: Start) -> Listed {
    let mut numbers = draws::of_sample(start, 0, *b"catena/v");
    let mut keys: Vec<(f64, u64)> = Vec::with_capacity(weights.len());
    for (weight, sample) in weights.iter().zip(0..) {
        let uniform = ((numbers.next_u64() >> 11) as f64 + 0.5) * UNIT;
        if *weight > 0.0 {
            // libm's logarithm has the same bits on every machine
            keys.push((-libm::log(uniform) / weight, sample));
        }
    }
    keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let samples = keys.into_iter().take(samples as usize).map(|(_, sample)| sample).collect();
    Listed { samples, occurrences: None, batch_ends: None }
}
