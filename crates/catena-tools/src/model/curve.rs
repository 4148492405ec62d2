//! A curve of bounded size, however many points it is given.

/// A value, and where in the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// The run's steps so far.
    pub(crate) step: f64,
    /// The run's Train batches so far.
    pub(crate) batch: f64,
    /// What was logged; may be not finite.
    pub(crate) value: f64,
}

impl Point {
    /// Whether it is the same, a NaN included.
    fn is(&self, other: &Self) -> bool {
        let bits = |point: &Self| [point.step, point.batch, point.value].map(f64::to_bits);
        bits(self) == bits(other)
    }
}

/// What is logged under one name, thinned as it grows: of each few neighbours the lowest and the highest are kept, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    points: Vec<Point>,
    /// How many points each two of `points` stand for; 0 while nothing is left out.
    width: u64,
    open: Vec<Point>,
    in_open: u64,
    /// How many points it was given.
    pub(crate) seen: u64,
    /// How many of them are not finite.
    pub(crate) not_finite: u64,
    /// The last point.
    pub(crate) last: Option<Point>,
    /// The lowest finite one.
    pub(crate) lowest: Option<Point>,
    /// The highest finite one.
    pub(crate) highest: Option<Point>,
}

/// How many points are kept while reading.
const KEPT: usize = 4096;

impl Curve {
    pub(crate) fn push(&mut self, point: Point) {
        self.seen += 1;
        self.last = Some(point);
        if point.value.is_finite() {
            if self.lowest.is_none_or(|lowest| point.value < lowest.value) {
                self.lowest = Some(point);
            }
            if self.highest.is_none_or(|highest| point.value > highest.value) {
                self.highest = Some(point);
            }
        } else {
            self.not_finite += 1;
        }
        if self.width == 0 {
            self.points.push(point);
        } else {
            self.open.push(point);
            self.in_open += 1;
            if self.open.len() > 2 {
                self.open = ends(&self.open);
            }
            if self.in_open == self.width {
                self.points.append(&mut self.open);
                self.in_open = 0;
            }
        }
        if self.points.len() >= KEPT {
            self.points = halved(&self.points);
            self.width = if self.width == 0 { 4 } else { self.width * 2 };
        }
    }

    /// About so many points at most, the last one among them.
    pub(crate) fn points(&self, limit: usize) -> Vec<Point> {
        let mut points = [&self.points[..], &self.open[..]].concat();
        while points.len() > limit.max(4) {
            points = halved(&points);
        }
        if let Some(last) = self.last
            && points.last().is_none_or(|point| !point.is(&last))
        {
            points.push(last);
        }
        points
    }
}

fn halved(points: &[Point]) -> Vec<Point> {
    points.chunks(4).flat_map(ends).collect()
}

/// The lowest and the highest, in the order in which they came. A NaN is the highest, whatever its sign, so that its gap stays and the
/// lowest too.
fn ends(points: &[Point]) -> Vec<Point> {
    let value = |point: &Point| if point.value.is_nan() { f64::NAN.abs() } else { point.value };
    let order = |a: &(usize, &Point), b: &(usize, &Point)| value(a.1).total_cmp(&value(b.1));
    let low = points.iter().enumerate().min_by(order);
    let high = points.iter().enumerate().max_by(order);
    match (low, high) {
        (Some((i, low)), Some((j, high))) if i < j => vec![*low, *high],
        (Some((i, low)), Some((j, high))) if i > j => vec![*high, *low],
        (low, _) => low.into_iter().map(|(_, point)| *point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: impl IntoIterator<Item = f64>) -> Curve {
        let mut curve = Curve::default();
        for (i, value) in values.into_iter().enumerate() {
            curve.push(Point { step: i as f64, batch: i as f64, value });
        }
        curve
    }

    #[test]
    fn a_short_curve_is_kept_as_it_is() {
        let points = curve((0..1000).map(f64::from)).points(1000);
        assert!(points.iter().map(|point| point.value).eq((0..1000).map(f64::from)));
    }

    #[test]
    fn the_extremes_of_a_million_points_stay_and_so_does_the_last() {
        let value = |i: u32| match i {
            123_457 => -50.0,
            765_432 => 70.0,
            i => f64::from(i % 7),
        };
        let curve = curve((0..1_000_000).map(value));
        let points = curve.points(500);
        assert!(points.len() <= 501, "{}", points.len());
        for extreme in [-50.0, 70.0] {
            assert!(points.iter().any(|point| point.value == extreme), "{extreme}");
        }
        assert!(points.is_sorted_by(|a, b| a.step < b.step));
        assert_eq!(points.last().map(|point| point.step), Some(999_999.0));
        assert_eq!((curve.lowest.unwrap().step, curve.highest.unwrap().step), (123_457.0, 765_432.0));
    }

    #[test]
    fn what_is_not_finite_is_counted_and_stays_a_gap() {
        let value = |i: u32| if i == 33_333 { f64::NAN } else { 1.0 + f64::from(i) };
        let curve = curve((0..100_000).map(value));
        assert_eq!((curve.not_finite, curve.lowest.unwrap().value), (1, 1.0));
        assert_eq!(curve.points(400).iter().filter(|point| point.value.is_nan()).count(), 1);
    }

    #[test]
    fn a_nan_takes_the_place_of_no_lowest_point_whatever_its_sign() {
        for nan in [f64::NAN.abs(), -f64::NAN.abs()] {
            let points: Vec<Point> = [1.0, nan, 3.0, 2.0]
                .into_iter()
                .map(|value| Point { step: 0.0, batch: 0.0, value })
                .collect();
            let ends = ends(&points);
            assert_eq!((ends[0].value, ends[1].value.is_nan(), ends.len()), (1.0, true, 2));
        }
    }

    #[test]
    fn a_last_point_that_is_not_finite_is_there_once() {
        assert_eq!(curve([1.0, f64::NAN]).points(100).len(), 2);
    }
}
