//! How fast a run gets on, by what the clock said of it.

/// How many points are looked at.
const MOST: usize = 32;

/// Moments at which a run's train batches were known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    points: Vec<(f64, u64)>,
}

impl Pace {
    /// At this time the run had this many train batches. When it has fewer than before it was set back.
    pub(crate) fn push(&mut self, time: f64, batch: u64) {
        match self.points.last() {
            Some(&(_, last)) if batch < last => self.points.clear(),
            Some(&(before, last)) if batch == last || time <= before => return,
            _ => {}
        }
        if self.points.len() == MOST {
            self.points.remove(0);
        }
        self.points.push((time, batch));
    }

    /// Train batches a second: the median between neighbouring moments, so that a pause of the run does not count.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let pairs = self.points.iter().zip(self.points.iter().skip(1));
        let mut rates: Vec<f64> =
            pairs.map(|((t0, b0), (t1, b1))| b1.saturating_sub(*b0) as f64 / (t1 - t0)).collect();
        rates.retain(|rate| rate.is_finite());
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }

    /// Over all moments that are known.
    pub(crate) fn overall(&self) -> Option<f64> {
        let ((t0, b0), (t1, b1)) = (self.points.first()?, self.points.last()?);
        (t1 > t0).then(|| b1.saturating_sub(*b0) as f64 / (t1 - t0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_does_not_change_the_pace() {
        let mut pace = Pace::default();
        assert_eq!(pace.per_second(), None);
        for (time, batch) in [(0.0, 0), (1.0, 10), (2.0, 20), (5000.0, 30), (5001.0, 40)] {
            pace.push(time, batch);
        }
        assert_eq!(pace.per_second(), Some(10.0));
    }

    #[test]
    fn a_run_that_was_set_back_is_measured_anew_and_memory_is_bounded() {
        let mut pace = Pace::default();
        pace.push(0.0, 100);
        pace.push(1.0, 200);
        pace.push(9.0, 150);
        assert_eq!(pace.per_second(), None);
        pace.push(10.0, 155);
        assert_eq!((pace.per_second(), pace.overall()), (Some(5.0), Some(5.0)));
        for i in 0..1000 {
            pace.push(11.0 + f64::from(i), 200 + i as u64);
        }
        assert!(pace.points.len() <= MOST);
        assert_eq!(pace.overall(), Some(1.0));
    }
}
