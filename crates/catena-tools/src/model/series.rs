//! A curve of any length in bounded memory.

/// The most points of a curve; beyond, neighbours are joined.
const MOST: usize = 2048;

/// A curve: its points, each the mean of as many neighbours as it takes to stay within bounds.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: Vec<Point>,
    /// How many values a point takes.
    each: u64,
    /// The last value, finite or not.
    pub(crate) last: Option<f64>,
    /// The lowest and the highest of the finite ones.
    ends: Option<(f64, f64)>,
    /// How many are not finite, and where the first of them is.
    pub(crate) not_finite: Option<NotFinite>,
}

/// Values that are no numbers, or infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NotFinite {
    /// How many there are.
    pub(crate) count: u64,
    /// The step of the first.
    pub(crate) first: u64,
    /// Its value.
    pub(crate) value: f64,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    step: u64,
    sum: f64,
    count: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self { points: Vec::new(), each: 1, last: None, ends: None, not_finite: None }
    }
}

impl Series {
    /// Adds a value.
    pub(crate) fn push(&mut self, step: u64, value: f64) {
        self.last = Some(value);
        if !value.is_finite() {
            let bad = self.not_finite.get_or_insert(NotFinite { count: 0, first: step, value });
            bad.count += 1;
            return;
        }
        let (low, high) = self.ends.unwrap_or((value, value));
        self.ends = Some((low.min(value), high.max(value)));
        match self.points.last_mut() {
            Some(point) if point.count < self.each => point.join(Point { step, sum: value, count: 1 }),
            _ => {
                self.thin();
                self.points.push(Point { step, sum: value, count: 1 });
            }
        }
    }

    /// The lowest finite value.
    pub(crate) fn lowest(&self) -> Option<f64> {
        self.ends.map(|(low, _)| low)
    }

    /// The highest finite value.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.ends.map(|(_, high)| high)
    }

    /// The steps and the values to draw, in at most so many points.
    pub(crate) fn points(&self, most: usize) -> Vec<(f64, f64)> {
        let together = self.points.len().div_ceil(most.max(1)).max(1);
        let joined = self.points.chunks(together).filter_map(|points| {
            let (first, rest) = points.split_first()?;
            let mut joined = *first;
            rest.iter().for_each(|point| joined.join(*point));
            Some((joined.step as f64, joined.sum / joined.count as f64))
        });
        joined.collect()
    }

    /// Makes room: every two neighbours become one.
    fn thin(&mut self) {
        if self.points.len() < MOST {
            return;
        }
        let pairs = self.points.chunks(2).filter_map(|pair| {
            let (first, rest) = pair.split_first()?;
            let mut joined = *first;
            rest.iter().for_each(|point| joined.join(*point));
            Some(joined)
        });
        self.points = pairs.collect();
        self.each = self.each.saturating_mul(2);
    }
}

impl Point {
    fn join(&mut self, next: Self) {
        self.step = next.step;
        self.sum += next.sum;
        self.count += next.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_curve_keeps_every_value() {
        let mut series = Series::default();
        for step in 1..=2000 {
            series.push(step, step as f64 / 2.0);
        }
        let points = series.points(5000);
        assert_eq!(points.len(), 2000);
        assert_eq!(points.get(41), Some(&(42.0, 21.0)));
        assert_eq!((series.ends, series.last), (Some((0.5, 1000.0)), Some(1000.0)));
    }

    #[test]
    fn an_endless_curve_stays_within_bounds_and_keeps_its_shape() {
        let mut series = Series::default();
        for step in 1..=1_000_000 {
            series.push(step, step as f64);
        }
        assert!(series.points.len() <= MOST && series.points.len() >= MOST / 4, "{}", series.points.len());
        let count: u64 = series.points.iter().map(|point| point.count).sum();
        assert_eq!(count, 1_000_000);
        for (step, value) in series.points(100) {
            assert!((step - value).abs() < 10_001.0, "{step} {value}");
        }
        assert!(series.points(100).len() <= 100);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_not_drawn() {
        let mut series = Series::default();
        for (step, value) in [(1, 1.0), (2, f64::INFINITY), (3, f64::NAN), (4, 2.0)] {
            series.push(step, value);
        }
        assert_eq!(series.points(10), [(1.0, 1.0), (4.0, 2.0)]);
        assert_eq!(series.not_finite, Some(NotFinite { count: 2, first: 2, value: f64::INFINITY }));
        assert_eq!((series.lowest(), series.highest()), (Some(1.0), Some(2.0)));
    }
}
