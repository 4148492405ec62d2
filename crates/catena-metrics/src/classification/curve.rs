//! Areas under curves through the weight of positives and negatives above each threshold.

/// An item: its score, whether it is positive, what it counts (NaN if its score is).
pub(crate) type Item = (f64, bool, f64);

/// From the strictest threshold on: the weight of positives and of negatives above it, and of all.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) steps: Vec<(f64, f64)>,
    pub(crate) total: (f64, f64),
}

impl Curve {
    /// A threshold at each distinct score.
    pub(crate) fn exact(mut items: Vec<Item>) -> Self {
        items.retain(|(_, _, weight)| *weight != 0.0);
        items.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut tp, mut fp) = (0.0, 0.0);
        let mut steps = Vec::new();
        for (i, (score, positive, weight)) in items.iter().enumerate() {
            *(if *positive { &mut tp } else { &mut fp }) += weight;
            if items.get(i + 1).is_none_or(|(next, _, _)| next != score) {
                steps.push((tp, fp));
            }
        }
        Self { steps, total: (tp, fp) }
    }

    /// From the weight of negatives and then of positives that reach 0, 1, 2, … thresholds.
    pub(crate) fn binned(bins: &[f64]) -> Self {
        let (negative, positive) = bins.split_at(bins.len() / 2);
        let (mut tp, mut fp) = (0.0, 0.0);
        let mut steps = Vec::with_capacity(positive.len());
        for (more_tp, more_fp) in positive.iter().zip(negative).rev() {
            (tp, fp) = (tp + more_tp, fp + more_fp);
            steps.push((tp, fp));
        }
        // below the lowest threshold nothing is decided
        steps.pop();
        Self { steps, total: (tp, fp) }
    }

    /// Whether the score of an item that counts is NaN, so that no threshold tells where it belongs.
    pub(crate) fn is_nan(&self) -> bool {
        (self.total.0 + self.total.1).is_nan()
    }

    /// The area under the ROC curve through these points (and the origin, if `from_origin`); up to `max_fpr` with McClish's
    /// correction. Without positives or without negatives it is 0; with a NaN it is NaN.
    pub(crate) fn roc_area(&self, from_origin: bool, max_fpr: Option<f64>) -> f64 {
        if self.is_nan() {
            return f64::NAN;
        }
        let share = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let points = self.steps.iter().map(|(tp, fp)| (share(*fp, self.total.1), share(*tp, self.total.0)));
        let origin = from_origin.then_some((0.0, 0.0));
        let mut points: Vec<(f64, f64)> = origin.into_iter().chain(points).collect();
        let nothing = |f: fn(&(f64, f64)) -> f64| points.iter().all(|point| f(point) == 0.0);
        let max_fpr = max_fpr.filter(|max| *max < 1.0 && !nothing(|p| p.0) && !nothing(|p| p.1));
        if let Some(max) = max_fpr
            && let Some(stop) = points.iter().position(|(fpr, _)| *fpr > max)
            && stop > 0
        {
            let ((x0, y0), (x1, y1)) = (points[stop - 1], points[stop]);
            points.truncate(stop);
            points.push((max, y0 + (y1 - y0) * (max - x0) / (x1 - x0)));
        }
        let area: f64 = points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[1].1 + w[0].1) / 2.0).sum();
        match max_fpr {
            None => area,
            Some(max) => {
                let least = 0.5 * max * max;
                0.5 * (1.0 + (area - least) / (max - least))
            }
        }
    }

    /// Precision at each step, by the recall that it adds. NaN without positives, and with a NaN.
    pub(crate) fn average_precision(&self) -> f64 {
        let positives = self.total.0;
        if positives == 0.0 || self.is_nan() {
            return f64::NAN;
        }
        let before = std::iter::once(0.0).chain(self.steps.iter().map(|(tp, _)| *tp));
        let gain = |((tp, fp), before): (&(f64, f64), f64)| match tp + fp {
            0.0 => 0.0,
            all => (tp - before) / positives * (tp / all),
        };
        self.steps.iter().zip(before).map(gain).sum()
    }
}
