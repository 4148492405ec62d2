//! Stops when a metric no longer gets better.
use catena_chain::{About, Callback, Context, Flow, Lifetime, Phase, Result, State, Stop, Watch};
use catena_tensor::schedule::PlateauMode;
use catena_tensor::settings::Range;
use serde::{Deserialize, Serialize};

/// Looks at each measurement of a metric once, and stops the stage when `patience` measurements in a row were not better.
///
/// Better is by more than `min_delta`. A NaN is never better. An epoch without a measurement counts nothing, and an evaluation in mid-epoch
/// counts at once ([`Watch`]). A loader that ends without the metric is an error that names the metrics that it has. The best value and the
/// patience begin anew with each stage, unless [`EarlyStopping::across_stages`] is set. Source: `lightning.pytorch.callbacks.EarlyStopping`;
/// defaults are its: `patience` 3, `min_delta` 0, `mode` min, and with [`EarlyStopping::check_finite`] a metric that is NaN or infinite stops
/// at once (default). On resume: the best value and the count of measurements without a better one are kept.
///
/// ```
/// use catena_callbacks::EarlyStopping;
/// use catena_chain::{Event, Flow, Reduce, Stop, testing};
///
/// let stopping = EarlyStopping::new("train/loss").patience(2);
/// let mut driver = testing::driver(vec![Box::new(stopping)])?;
/// let mut stops = vec![];
/// for loss in [3.0, 2.0, 2.5, 2.0] {
///     driver.context_mut().log("loss", loss, Reduce::Last)?;
///     driver.leave_loader()?;
///     stops.push(driver.fire(Event::EpochEnd)?.stop);
///     # driver.enter_loader(catena_chain::drive::LoaderScope::new("train", catena_tensor::model::Mode::Train, None));
/// }
/// assert_eq!(stops, [Stop::None, Stop::None, Stop::None, Stop::Stage]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// The metric that is watched, by its whole name, such as `valid/loss`.
    metric: String,
    #[serde(default = "three")]
    patience: u64,
    #[serde(default)]
    min_delta: f64,
    #[serde(default)]
    mode: PlateauMode,
    #[serde(default = "yes")]
    check_finite: bool,
    /// What it stops: the stage or the run.
    #[serde(default = "stage")]
    stops: Stop,
    #[serde(default)]
    across_stages: bool,
    #[serde(skip)]
    seen: BestSoFar,
}

/// What it must remember.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BestSoFar {
    #[serde(with = "catena_record::float::option")]
    best: Option<f64>,
    best_epoch: u64,
    bad: u64,
    watch: Watch,
}

fn three() -> u64 {
    3
}

fn yes() -> bool {
    true
}

fn stage() -> Stop {
    Stop::Stage
}

impl EarlyStopping {
    /// Watches a metric by its whole name, such as `valid/loss`.
    pub fn new(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            patience: three(),
            min_delta: 0.0,
            mode: PlateauMode::Min,
            check_finite: yes(),
            stops: stage(),
            across_stages: false,
            seen: BestSoFar::default(),
        }
    }

    /// After how many epochs in a row without a better value it stops (default 3).
    #[must_use]
    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = patience;
        self
    }

    /// By more than how much a value must be better (default 0).
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Which way the metric gets better (default [`PlateauMode::Min`]).
    #[must_use]
    pub fn mode(mut self, mode: PlateauMode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether a metric that is NaN or infinite stops at once (default true).
    #[must_use]
    pub fn check_finite(mut self, check_finite: bool) -> Self {
        self.check_finite = check_finite;
        self
    }

    /// Goes on from stage to stage (default false: the best value and the patience begin anew with each stage).
    #[must_use]
    pub fn across_stages(mut self) -> Self {
        self.across_stages = true;
        self
    }

    /// Stops the whole run, not the stage alone.
    #[must_use]
    pub fn stop_run(mut self) -> Self {
        self.stops = Stop::Run;
        self
    }

    fn is_better(&self, value: f64) -> bool {
        let Some(best) = self.seen.best else { return !value.is_nan() };
        match self.mode {
            PlateauMode::Min => value < best - self.min_delta,
            PlateauMode::Max => value > best + self.min_delta,
        }
    }

    /// Why it stops now that the metric has this value, if it does.
    fn observe(&mut self, value: f64, epoch: u64) -> Option<String> {
        if self.check_finite && !value.is_finite() {
            return Some(format!("{} is {value}", self.metric));
        }
        if self.is_better(value) {
            (self.seen.best, self.seen.best_epoch, self.seen.bad) = (Some(value), epoch, 0);
            return None;
        }
        self.seen.bad += 1;
        let BestSoFar { best, best_epoch, bad, watch: _ } = self.seen;
        (bad >= self.patience).then(|| {
            let best =
                best.map_or("it was NaN ever since".into(), |best| format!("{best} in epoch {best_epoch}"));
            let times = if bad == 1 { "1 measurement".into() } else { format!("{bad} measurements") };
            format!("{} has not got better in {times}; the best was {best}", self.metric)
        })
    }
}

impl EarlyStopping {
    fn decide(&mut self, cx: &mut Context) -> Result<Flow> {
        let Some(value) = self.seen.watch.measured(&self.metric, cx)? else { return Ok(Flow::GO) };
        let Some(why) = self.observe(value, cx.epoch()) else { return Ok(Flow::GO) };
        cx.because(why);
        Ok(Flow { stop: self.stops, ..Flow::GO })
    }
}

impl Callback for EarlyStopping {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, Watch::EVENTS)
            .logs_nothing()
            .watches([&self.metric])
            .lifetime(if self.across_stages { Lifetime::Run } else { Lifetime::Stage })
            .settings(self)
    }

    fn state(&self) -> State {
        let Self {
            metric,
            patience: _,
            min_delta: _,
            mode,
            check_finite: _,
            stops: _,
            across_stages: _,
            seen,
        } = self;
        State::of(&(metric, mode, seen)).unwrap_or_default()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (metric, mode, seen): (String, PlateauMode, BestSoFar) = state.read()?;
        // the best of another metric, which was allowed, is none of this one's
        if (metric, mode) == (self.metric.clone(), self.mode) {
            // nothing could ever be better than a NaN
            self.seen = BestSoFar { best: seen.best.filter(|best| !best.is_nan()), ..seen };
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Range::Count(1).setting("patience", self.patience as f64)?;
        Ok(Range::AtLeast(0.0).setting("min_delta", self.min_delta)?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.seen.watch.begin(&self.metric, cx);
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.decide(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.decide(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops_at(stopping: EarlyStopping, values: &[f64]) -> Option<usize> {
        let mut stopping = stopping;
        values.iter().position(|&value| stopping.observe(value, 1).is_some())
    }

    #[test]
    fn it_stops_after_patience_values_that_are_not_better() {
        let watch = || EarlyStopping::new("valid/loss").patience(2);
        let up = || watch().mode(PlateauMode::Max);
        let nan = f64::NAN;
        for (stopping, values, expected) in [
            (watch(), &[3.0, 2.0, 2.0, 2.0][..], Some(3)),
            (watch(), &[3.0, 2.0, 2.5, 1.0, 1.5, 1.5], Some(5)),
            (watch().min_delta(0.5), &[3.0, 2.6, 2.4, 2.0, 1.9], Some(4)),
            (watch().min_delta(0.5), &[3.0, 2.6, 2.5, 2.5], Some(2)),
            (up(), &[1.0, 2.0, 1.0, 1.0], Some(3)),
            (up(), &[1.0, 2.0, 3.0, 4.0], None),
            (watch(), &[3.0, nan, 2.0], Some(1)),
            (watch().check_finite(false), &[nan, nan, 2.0], Some(1)),
            (watch().check_finite(false), &[nan, 2.0, nan, nan], Some(3)),
            (watch().check_finite(false), &[3.0, f64::INFINITY, 2.0, 1.0], None),
        ] {
            assert_eq!(stops_at(stopping.clone(), values), expected, "{stopping:?} of {values:?}");
        }
    }

    #[test]
    fn state_goes_on_where_it_was() {
        let watch = || EarlyStopping::new("valid/loss").patience(3).check_finite(false);
        let mut whole = watch();
        for (epoch, value) in [f64::INFINITY, 1.0 / 3.0, 0.5].into_iter().enumerate() {
            assert_eq!(whole.observe(value, epoch as u64), None);
            let mut resumed = watch();
            let json = serde_json::to_string(&whole.state().json).unwrap();
            resumed.load_state(State::json(serde_json::from_str(&json).unwrap())).unwrap();
            assert_eq!(resumed, whole);
        }
    }
}
