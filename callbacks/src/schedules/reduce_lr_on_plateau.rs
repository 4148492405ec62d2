//! Lowers the learning rate when a metric no longer gets better.
use catena_chain::{About, Callback, Context, Flow, Lifetime, Phase, Result, State, Watch};
use catena_tensor::schedule::{Plateau, PlateauMode, PlateauState};
use serde::{Deserialize, Serialize};

/// Looks at each measurement of a metric, and lowers the learning rate of the first pass's optimizer when the metric no longer gets
/// better. Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`; its settings are those of [`Plateau`].
///
/// `patience` counts measurements: an epoch without one counts nothing, an evaluation in mid-epoch counts at once ([`Watch`]). With an
/// [`LrSchedule`](crate::LrSchedule) beside it, its factor multiplies what the schedule sets. The best value and the counts begin anew with
/// each stage, unless [`ReduceLrOnPlateau::across_stages`] is set. A loader that ends without the metric is an error that names the metrics that
/// it has. On resume: the best value and the counts are kept; the rates are the optimizer's.
///
/// ```
/// use catena_callbacks::ReduceLrOnPlateau;
/// use catena_chain::{Event, Reduce, testing};
/// use catena_tensor::schedule::Plateau;
///
/// let reduce = ReduceLrOnPlateau::new("train/loss", Plateau::new().patience(0).factor(0.5));
/// let mut driver = testing::driver(vec![Box::new(reduce)])?; // lr 0.1
/// driver.context_mut().log("loss", 1.0, Reduce::Last)?;
/// driver.leave_loader()?;
/// driver.fire(Event::EpochEnd)?; // the first value is the best
/// driver.context_mut().log("train/loss", 1.0, Reduce::Last)?; // outside of a loader a name is whole
/// driver.fire(Event::EpochEnd)?; // the same again is no better
/// assert_eq!(driver.context().optimizer().unwrap().lr(), 0.05);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    /// The metric that is watched, by its whole name, such as `valid/loss`.
    metric: String,
    /// When and by how much the rate is lowered.
    #[serde(default)]
    plateau: Plateau,
    #[serde(default)]
    across_stages: bool,
    #[serde(skip)]
    watch: Watch,
}

impl ReduceLrOnPlateau {
    /// Watches a metric by its whole name, such as `valid/loss`.
    pub fn new(metric: impl Into<String>, plateau: Plateau) -> Self {
        Self { metric: metric.into(), plateau, across_stages: false, watch: Watch::default() }
    }

    /// Goes on from stage to stage (default false: the best value and the counts begin anew with each stage).
    #[must_use]
    pub fn across_stages(mut self) -> Self {
        self.across_stages = true;
        self
    }

    fn decide(&mut self, cx: &mut Context) -> Result<Flow> {
        let Some(value) = self.watch.measured(&self.metric, cx)? else { return Ok(Flow::GO) };
        if self.plateau.observe(value) {
            for (i, group) in cx.optimizer_mut()?.groups_mut().iter_mut().enumerate() {
                let lr = group.get("lr").unwrap_or_default();
                group.scale_lr(self.plateau.reduced(lr, i), self.plateau.factor_from(lr, i))?;
            }
        }
        Ok(Flow::GO)
    }
}

impl Callback for ReduceLrOnPlateau {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Decide, Watch::EVENTS)
            .logs_nothing()
            .watches([&self.metric])
            .scales("lr", None)
            .lifetime(if self.across_stages { Lifetime::Run } else { Lifetime::Stage })
            .settings(self)
    }

    fn state(&self) -> State {
        let Self { metric, plateau, across_stages: _, watch } = self;
        State::of(&(metric, plateau.metric_mode(), plateau.state(), watch)).unwrap_or_default()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        let (metric, mode, plateau, watch): (String, PlateauMode, PlateauState, Watch) = state.read()?;
        // the best of another metric, which was allowed, is none of this one's
        if (metric, mode) == (self.metric.clone(), self.plateau.metric_mode()) {
            self.plateau.set_state(plateau);
            self.watch = watch;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(self.plateau.check()?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let groups = cx.optimizer_mut()?.groups().len();
        self.plateau.check_for(groups)?;
        self.watch.begin(&self.metric, cx);
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
    use catena_chain::{Event, testing};

    use super::*;

    #[test]
    fn a_metric_that_does_not_exist_is_an_error_that_lists_those_that_do() {
        let reduce = ReduceLrOnPlateau::new("train/lose", Plateau::new());
        let mut driver = testing::driver(vec![Box::new(reduce)]).unwrap();
        driver.context_mut().log("loss", 1.0, catena_chain::Reduce::Last).unwrap();
        let text = driver.fire(Event::LoaderEnd).unwrap_err().to_string();
        assert!(text.ends_with("there is no metric `train/lose`; loader `train` has: train/loss"), "{text}");
    }

    #[test]
    fn state_goes_on_where_it_was() {
        let mut watched = ReduceLrOnPlateau::new("valid/loss", Plateau::new().patience(1));
        for value in [1.0, 0.5, 0.5] {
            watched.plateau.observe(value);
        }
        let mut resumed = ReduceLrOnPlateau::new("valid/loss", Plateau::new().patience(1));
        resumed.load_state(watched.state()).unwrap();
        assert_eq!(resumed.plateau, watched.plateau);
        assert!(resumed.plateau.observe(0.5), "the second bad value in a row");
    }
}
