//! Sweeps the learning rate to find a good one.
mod before_sweep;

use catena_chain::{About, Callback, Context, Event, Flow, Outcome, Phase, Result, Role, State};
use catena_tensor::Error;
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

use self::before_sweep::BeforeSweep;

/// Raises the learning rate at each step from `start_lr` to `end_lr`, by equal factors, and records the smoothed loss; stops the
/// stage when the sweep is done or the loss diverges. Before anybody hears `stage_end`, and after an error, the weights, the optimizer and
/// torch's generators are as they were. (Smith 2017, "Cyclical learning rates for training neural networks".)
///
/// Give it a stage of its own. The result is in `cx.ext` until the process ends, as a [`LrCurve`]. It waits for the device at every step. On
/// resume: the sweep goes on; the curve so far, and what is put back after it, are kept.
///
/// ```
/// use catena_callbacks::LrFinder;
/// use catena_chain::Callback;
///
/// assert!(LrFinder::new().num_steps(50).range(1e-5, 1.0).check().is_ok());
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrFinder {
    /// The rate of the first step.
    start_lr: f64,
    /// The rate of the last step.
    end_lr: f64,
    num_steps: u64,
    smoothing: f64,
    /// The sweep ends when the smoothed loss has risen above the best by this many times the range that it has seen.
    diverged: f64,
    #[serde(skip)]
    average: f64,
    #[serde(skip)]
    curve: LrCurve,
    #[serde(skip)]
    kept: Option<BeforeSweep>,
}

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LrCurve {
    /// Learning rates and smoothed losses, a pair for each step.
    pub points: Vec<(f64, f64)>,
    /// Whether the sweep ended because the loss diverged.
    pub diverged: bool,
}

impl LrCurve {
    /// The learning rate at which the loss falls fastest, by the logarithm of the rate. It is none for fewer than three finite points in a
    /// row, and for a loss that never falls.
    pub fn suggestion(&self) -> Option<f64> {
        let slope = |w: &[(f64, f64)]| (w[2].1 - w[0].1) / (w[2].0 / w[0].0).ln();
        // where a loss is not finite there is no slope
        let slopes =
            self.points.windows(3).map(|w| (slope(w), w[1].0)).filter(|(slope, _)| slope.is_finite());
        let (slope, lr) = slopes.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        (slope < 0.0).then_some(lr)
    }
}

/// What a snapshot in the middle of a sweep holds.
#[derive(Deserialize)]
struct Saved {
    average: f64,
    curve: LrCurve,
    kept: Option<BeforeSweep>,
}

impl Default for LrFinder {
    fn default() -> Self {
        let (start_lr, end_lr, num_steps, smoothing, diverged) = (1e-7, 10.0, 100, 0.98, 4.0);
        let (average, curve, kept) = (0.0, LrCurve::default(), None);
        Self { start_lr, end_lr, num_steps, smoothing, diverged, average, curve, kept }
    }
}

impl LrFinder {
    /// From 1e-7 to 10 in 100 steps, losses smoothed by 0.98, diverged at a rise of 4 times the range seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first and the last learning rate (default 1e-7 and 10).
    #[must_use]
    pub fn range(mut self, start_lr: f64, end_lr: f64) -> Self {
        (self.start_lr, self.end_lr) = (start_lr, end_lr);
        self
    }

    /// How many steps the sweep has (default 100).
    #[must_use]
    pub fn num_steps(mut self, num_steps: u64) -> Self {
        self.num_steps = num_steps;
        self
    }

    /// How much of the running mean of the loss is kept at each step (default 0.98).
    #[must_use]
    pub fn smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    fn lr(&self, step: usize) -> f64 {
        let share = step as f64 / (self.num_steps - 1) as f64;
        self.start_lr * (self.end_lr / self.start_lr).powf(share)
    }

    fn set_lr(&self, cx: &mut Context) -> Result<()> {
        let lr = self.lr(self.curve.points.len());
        cx.optimizer_mut()?.groups_mut().iter_mut().try_for_each(|group| Ok(group.set("lr", lr)?))
    }

    /// Adds a loss to the curve; whether the sweep goes on.
    fn record(&mut self, loss: f64) -> bool {
        let steps = self.curve.points.len();
        self.average = self.smoothing * self.average + (1.0 - self.smoothing) * loss;
        let smooth = self.average / (1.0 - self.smoothing.powi(steps as i32 + 1));
        self.curve.diverged = !smooth.is_finite() || self.has_diverged(smooth);
        self.curve.points.push((self.lr(steps), smooth));
        !self.curve.diverged && self.curve.points.len() < self.num_steps as usize
    }

    /// Whether a smoothed loss has risen above the best by more than `diverged` times the range that the sweep has seen: how far it has
    /// fallen to the best, or, if that is more, the range in the first tenth of the sweep, which is noise and judges nothing. A range knows
    /// no sign and no zero: a loss below 0 is judged as one above.
    fn has_diverged(&self, smooth: f64) -> bool {
        let first = (self.num_steps / 10).max(2) as usize;
        if self.curve.points.len() < first {
            return false;
        }
        let losses: Vec<f64> = self.curve.points.iter().map(|(_, loss)| *loss).collect();
        let least = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        let range = |losses: &[f64]| losses.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least(losses);
        let best = least(&losses);
        let at = losses.iter().position(|loss| *loss == best).unwrap_or(0);
        smooth - best > self.diverged * range(&losses[..first]).max(range(&losses[..=at]))
    }
}

impl Callback for LrFinder {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, [Event::StageStart, Event::Step, Event::StageEnd])
            // a sweep may end in NaN, and puts the weights back
            .role(Role::FiniteModel)
            .sets("lr", None)
            .settings(self)
            .logs_nothing()
            .syncs(true)
    }

    fn state(&self) -> State {
        let Self { start_lr: _, end_lr: _, num_steps: _, smoothing: _, diverged: _, average, curve, kept } =
            self;
        let state = serde_json::json!({
            "average": average,
            "curve": curve,
            "kept": kept,
        });
        State {
            json: state,
            tensors: kept.as_ref().map(BeforeSweep::tensors).unwrap_or_default(),
            ..State::none()
        }
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let saved: Saved = state.read()?;
        (self.average, self.curve, self.kept) = (saved.average, saved.curve, saved.kept);
        if let Some(kept) = &mut self.kept {
            kept.take_tensors(state.tensors)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Range::Count(3).setting("num_steps", self.num_steps as f64)?;
        Range::ClosedOpen(0.0, 1.0).setting("smoothing", self.smoothing)?;
        Range::Above(1.0).setting("diverged", self.diverged)?;
        Range::Above(0.0).setting("start_lr", self.start_lr)?;
        let (start, end) = (self.start_lr, self.end_lr);
        if end.is_finite() && end > start {
            return Ok(());
        }
        Err(format!("`end_lr` is {end}, but must be a number above `start_lr`, which is {start}").into())
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        if cx.passes() > 1 {
            return Err(format!(
                "a sweep is of one optimizer, but stage `{}` has {} passes; give it a stage with the pass that it is for",
                cx.stage(),
                cx.passes()
            )
            .into());
        }
        if cx.resuming() {
            return Ok(Flow::GO);
        }
        let kept = BeforeSweep::keep(cx)?;
        self.kept = Some(kept.shared());
        cx.undo_before(Event::StageEnd, move |cx| kept.put_back(cx));
        self.set_lr(cx)?;
        Ok(Flow::GO)
    }

    fn on_resumed(&mut self, cx: &mut Context) -> Result<()> {
        if let Some(kept) = self.kept.as_ref().map(BeforeSweep::shared) {
            cx.undo_before(Event::StageEnd, move |cx| kept.put_back(cx));
        }
        Ok(())
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if *cx.outcome() != Outcome::Stepped {
            return Ok(Flow::GO);
        }
        let loss = cx.loss.as_ref().ok_or("no loss is set")?;
        if loss.weight == 0.0 {
            return Ok(Flow::GO); // it counts nothing: its mean is NaN
        }
        let loss = loss.value.f_double_value(&[]).map_err(Error::from)?;
        if self.record(loss) {
            self.set_lr(cx)?;
            return Ok(Flow::GO);
        }
        cx.because(if self.curve.diverged { "the loss diverged" } else { "the sweep is done" });
        Ok(Flow::STOP_STAGE)
    }

    fn on_stage_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let points = self.curve.points.len() as u64;
        if points < self.num_steps && !self.curve.diverged && cx.interrupted().is_none() {
            log::warn!(
                "LrFinder's sweep is not done: stage `{}` ended after {points} of {} steps; give the stage more epochs, or the sweep \
                 fewer steps with `num_steps`",
                cx.stage(),
                self.num_steps
            );
        }
        self.kept = None;
        cx.ext.insert_for_run(self.curve.clone());
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweep_goes_up_by_equal_factors_and_stops_when_the_loss_diverges() {
        let mut finder = LrFinder::new().range(1e-4, 1.0).num_steps(5).smoothing(0.0);
        let goes_on: Vec<bool> =
            [4.0, 3.0, 1.0, 2.0, 3.0].into_iter().map(|loss| finder.record(loss)).collect();
        assert_eq!(goes_on, [true, true, true, true, false]);
        for ((lr, _), expected) in finder.curve.points.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]) {
            assert!((lr / expected - 1.0).abs() < 1e-12);
        }
        assert!(!finder.curve.diverged);
        assert!((finder.curve.suggestion().unwrap() / 1e-3 - 1.0).abs() < 1e-12, "where it falls fastest");

        let mut finder = LrFinder::new().smoothing(0.0);
        // the first ten of a hundred judge nothing; then it has fallen by 0.9 to -7.9
        for i in 0..10 {
            assert!(finder.record(f64::from(i) * -0.1 - 7.0));
        }
        assert!(finder.record(-7.9 + 3.5) && finder.record(-7.9 + 3.59) && !finder.record(-7.9 + 3.61));
        assert!(finder.curve.diverged);
        let mut finder = LrFinder::new();
        assert!(!finder.record(f64::NAN) && finder.curve.suggestion().is_none());
    }
}
