//! How numbers are distributed.
use catena_tensor::tch::{Device, Kind, Tensor};

use crate::error::Result;

/// How numbers are distributed: their count in 64 bins of equal width between the smallest and the largest.
///
/// ```
/// use catena_loggers::Histogram;
/// use catena_tensor::tch::Tensor;
///
/// let histogram = Histogram::of(&Tensor::from_slice(&[0.0, 1.0, 1.0, f64::NAN]))?;
/// assert_eq!((histogram.count, histogram.not_finite, histogram.sum), (3, 1, 2.0));
/// assert_eq!(histogram.bins.iter().sum::<u64>(), 3);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// The smallest finite number; 0 if there is none.
    pub min: f64,
    /// The largest finite number; 0 if there is none.
    pub max: f64,
    /// How many numbers are finite.
    pub count: u64,
    /// How many are not: these are in no bin.
    pub not_finite: u64,
    /// The sum of the finite ones.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_of_squares: f64,
    /// How many lie in each bin. The last bin includes its end.
    pub bins: Vec<u64>,
}

const BINS: usize = 64;

impl Histogram {
    /// Of a tensor's numbers, of any shape and dtype. Waits for the device.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
        Ok(Self::of_numbers(&Vec::<f64>::try_from(flat.f_contiguous()?)?))
    }

    /// Of numbers.
    pub fn of_numbers(numbers: &[f64]) -> Self {
        let finite = || numbers.iter().copied().filter(|number| number.is_finite());
        let count = finite().count();
        let (mut min, mut max) =
            finite().fold((f64::MAX, f64::MIN), |(min, max), x| (min.min(x), max.max(x)));
        if count == 0 {
            (min, max) = (0.0, 0.0);
        }
        let mut bins = vec![0; BINS];
        for number in finite() {
            // halves, so that the width of any range is finite
            let share = (number / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0);
            let at = if share.is_nan() { 0 } else { (share * BINS as f64) as usize };
            bins[at.min(BINS - 1)] += 1;
        }
        Self {
            min,
            max,
            count: count as u64,
            not_finite: (numbers.len() - count) as u64,
            sum: finite().sum(),
            sum_of_squares: finite().map(|x| x * x).sum(),
            bins,
        }
    }

    /// Where each bin ends.
    pub fn ends(&self) -> impl Iterator<Item = f64> {
        let (min, max, bins) = (self.min, self.max, self.bins.len());
        (1..=bins).map(move |i| {
            let share = i as f64 / bins as f64;
            if i == bins { max } else { min * (1.0 - share) + max * share }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_in_the_bin_where_it_lies() {
        let numbers: Vec<f64> = (0..128).map(f64::from).collect();
        let histogram = Histogram::of_numbers(&numbers);
        assert_eq!(histogram.bins.iter().sum::<u64>(), 128);
        let mut start = f64::NEG_INFINITY;
        for (end, &count) in histogram.ends().zip(&histogram.bins) {
            let last = end == histogram.max;
            let inside = numbers.iter().filter(|&&x| x >= start && (x < end || last)).count();
            assert_eq!(inside as u64, count, "up to {end}");
            start = end;
        }
    }

    #[test]
    fn one_value_no_value_and_the_whole_range_are_no_trouble() {
        assert_eq!(Histogram::of_numbers(&[2.0; 5]).bins[0], 5);
        let none = Histogram::of_numbers(&[f64::NAN]);
        assert_eq!((none.count, none.not_finite, none.min, none.max), (0, 1, 0.0, 0.0));
        let wide = Histogram::of_numbers(&[f64::MIN, 0.0, f64::MAX]);
        assert_eq!((wide.bins[0], wide.bins[32], wide.bins[63]), (1, 1, 1));
    }
}
