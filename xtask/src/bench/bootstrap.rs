//! How sure a quotient of two medians is.

use fastrand::Rng;

/// What the bootstrap draws by, so that the same measurements give the same interval.
pub(super) const SEED: u64 = 20_261_128;

/// How often the rounds are drawn anew.
pub(super) const RESAMPLES: usize = 10_000;

/// The median of one list to that of another, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quotient {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Quotient {
    /// Of the measurements of `ours` to those of `theirs`, which were made in the same rounds.
    ///
    /// The interval is the percentile bootstrap's (Efron 1979): as many rounds as there are, drawn with replacement, [`RESAMPLES`] times;
    /// a round is drawn with both of its measurements.
    pub(super) fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let rounds = ours.len().min(theirs.len());
        let mut draw = Rng::with_seed(SEED);
        let (mut a, mut b) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
        let mut drawn: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                a.clear();
                b.clear();
                for _ in 0..rounds {
                    let round = draw.usize(..rounds);
                    a.push(ours[round]);
                    b.push(theirs[round]);
                }
                median(&a) / median(&b)
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let tail = RESAMPLES / 40; // 2.5 %
        Self { value: median(ours) / median(theirs), low: drawn[tail], high: drawn[RESAMPLES - 1 - tail] }
    }
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standard normal number, by Box and Muller.
    fn normal(draw: &mut Rng) -> f64 {
        let (u, v) = (1.0 - draw.f64(), draw.f64());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn what_is_always_twice_as_long_is_twice_as_long_for_sure() {
        let theirs: Vec<f64> = (1..=15).map(f64::from).collect();
        let ours: Vec<f64> = theirs.iter().map(|x| 2.0 * x).collect();
        assert_eq!(Quotient::of(&ours, &theirs), Quotient { value: 2.0, low: 2.0, high: 2.0 });
    }

    #[test]
    fn the_same_measurements_have_the_same_interval_around_their_quotient() {
        let theirs: Vec<f64> = (0..15).map(|i| 100.0 + f64::from(i * 7 % 15)).collect();
        let ours: Vec<f64> = (0..15).map(|i| 101.0 + f64::from(i * 4 % 15)).collect();
        let quotient = Quotient::of(&ours, &theirs);
        assert_eq!(quotient, Quotient::of(&ours, &theirs));
        assert_eq!(quotient.value, 108.0 / 107.0);
        assert!(quotient.low < quotient.value && quotient.value < quotient.high, "{quotient:?}");
    }

    #[test]
    fn the_interval_holds_the_true_quotient_in_about_95_of_100_trials() {
        const TRIALS: u32 = 100;
        let mut draw = Rng::with_seed(7);
        let mut held = 0;
        for _ in 0..TRIALS {
            let mut rounds = |around: f64| -> Vec<f64> {
                (0..15).map(|_| around * (0.05 * normal(&mut draw)).exp()).collect()
            };
            let quotient = Quotient::of(&rounds(1.1), &rounds(1.0));
            held += u32::from(quotient.low <= 1.1 && 1.1 <= quotient.high);
        }
        assert!((90..=100).contains(&held), "{held} of {TRIALS}");
    }
}
