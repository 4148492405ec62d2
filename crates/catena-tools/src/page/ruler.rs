//! Other axes for what is known by its batch: the step, the epoch and the time at a batch.

/// A line through points, by which one axis is read off another: piecewise straight and never falling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ruler {
    points: Vec<(f64, f64)>,
}

impl Ruler {
    /// A line that starts at 0, 0.
    pub(crate) fn from_zero() -> Self {
        Self { points: vec![(0.0, 0.0)] }
    }

    /// Adds a point. Points that it contradicts go: the run has gone on from before them.
    pub(crate) fn add(&mut self, batch: f64, value: f64) {
        if !batch.is_finite() || !value.is_finite() {
            return;
        }
        while self.points.last().is_some_and(|last| last.0 >= batch && self.points.len() > 1) {
            self.points.pop();
        }
        match self.points.last() {
            Some(last) if last.0 >= batch || last.1 > value => {}
            _ => self.points.push((batch, value)),
        }
    }

    /// Whether it tells anything.
    pub(crate) fn is_known(&self) -> bool {
        self.points.len() > 1
    }

    /// The last point.
    pub(crate) fn last(&self) -> Option<(f64, f64)> {
        self.points.last().copied()
    }

    /// The value at a batch; none outside of what is known.
    pub(crate) fn at(&self, batch: f64) -> Option<f64> {
        between(&self.points, batch, |point| point.0, |point| point.1)
    }

    /// The batch at a value.
    pub(crate) fn batch_at(&self, value: f64) -> Option<f64> {
        between(&self.points, value, |point| point.1, |point| point.0)
    }

    /// At most so many points, evenly chosen.
    pub(crate) fn thinned(mut self, limit: usize) -> Self {
        let every = self.points.len().div_ceil(limit.max(1));
        if every > 1 {
            let last = self.points.len() - 1;
            let mut at = 0..;
            self.points.retain(|_| at.next().is_some_and(|i: usize| i.is_multiple_of(every) || i == last));
        }
        self
    }
}

fn between(
    points: &[(f64, f64)],
    x: f64,
    from: impl Fn(&(f64, f64)) -> f64,
    to: impl Fn(&(f64, f64)) -> f64,
) -> Option<f64> {
    let after = points.partition_point(|point| from(point) < x);
    let right = points.get(after)?;
    if from(right) == x {
        return Some(to(right));
    }
    let left = points.get(after.checked_sub(1)?)?;
    let share = (x - from(left)) / (from(right) - from(left));
    Some(to(left) + share * (to(right) - to(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_straight_between_points_and_ends_with_them() {
        let mut ruler = Ruler::from_zero();
        assert!(!ruler.is_known());
        ruler.add(10.0, 5.0);
        ruler.add(20.0, 25.0);
        assert_eq!(
            [0.0, 5.0, 10.0, 15.0, 20.0, 21.0].map(|x| ruler.at(x)),
            [Some(0.0), Some(2.5), Some(5.0), Some(15.0), Some(25.0), None]
        );
        assert_eq!([-1.0, 2.5, 15.0, 26.0].map(|x| ruler.batch_at(x)), [None, Some(5.0), Some(15.0), None]);
    }

    #[test]
    fn a_run_that_went_on_from_an_earlier_batch_takes_the_later_time() {
        let mut ruler = Ruler::from_zero();
        for (batch, time) in [(10.0, 1.0), (20.0, 2.0), (30.0, 3.0), (20.0, 12.0), (30.0, 13.0)] {
            ruler.add(batch, time);
        }
        assert_eq!([10.0, 20.0, 25.0].map(|x| ruler.at(x)), [Some(1.0), Some(12.0), Some(12.5)]);
    }

    #[test]
    fn a_clock_that_was_set_back_is_not_believed() {
        let mut ruler = Ruler::from_zero();
        for (batch, time) in [(10.0, 5.0), (20.0, 2.0), (f64::NAN, 7.0), (30.0, 8.0)] {
            ruler.add(batch, time);
        }
        assert_eq!(ruler.at(20.0), Some(6.5));
    }
}
