//! Lowers the learning rate when a metric no longer gets better.
use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_tensor::schedule::Plateau;
use serde::{Deserialize, Serialize};

/// Looks at a metric at the end of each epoch, and lowers the learning rate of the first pass's optimizer when the metric no
/// longer gets better. Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`; its settings are those of [`Plateau`].
///
/// An epoch in which the metric's loader has not run is an error that names the metrics that exist. On resume: the best value
/// and the counts are kept; the rates are the optimizer's.
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
/// driver.fire(Event::EpochEnd)?; // the same again is no better
/// assert_eq!(driver.context().optimizer().unwrap().lr(), 0.05);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    metric: String,
    #[serde(default)]
    plateau: Plateau,
}

impl ReduceLrOnPlateau {
    /// Watches a metric by its whole name, such as `valid/loss`.
    pub fn new(metric: impl Into<String>, plateau: Plateau) -> Self {
        Self { metric: metric.into(), plateau }
    }
}

impl Callback for ReduceLrOnPlateau {
    fn about(&self) -> About {
        About::of::<Self>()
            .phase(Phase::Decide)
            .hears([Event::StageStart, Event::EpochEnd])
            .logs_nothing()
            .watches([&self.metric])
            .scales("lr", None)
            .settings(self)
            .note(format!("watches {}", self.metric))
    }

    fn state(&self) -> State {
        let Self { metric: _, plateau } = self;
        State::of(&plateau.state()).unwrap_or_default()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        self.plateau.set_state(state.read()?);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(self.plateau.check()?)
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let groups = cx.optimizer_mut()?.groups().len();
        self.plateau.check_for(groups)?;
        Ok(Flow::GO)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let value = cx.metrics.require(&self.metric)?;
        if self.plateau.observe(value) {
            for (i, group) in cx.optimizer_mut()?.groups_mut().iter_mut().enumerate() {
                let lr = group.get("lr").unwrap_or_default();
                group.set("lr", self.plateau.reduced(lr, i))?;
            }
        }
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use catena_chain::testing;

    use super::*;

    #[test]
    fn a_metric_that_does_not_exist_is_an_error_that_lists_those_that_do() {
        let reduce = ReduceLrOnPlateau::new("valid/loss", Plateau::new());
        let mut driver = testing::driver(vec![Box::new(reduce)]).unwrap();
        driver.context_mut().log("loss", 1.0, catena_chain::Reduce::Last).unwrap();
        driver.leave_loader().unwrap();
        let text = driver.fire(Event::EpochEnd).unwrap_err().to_string();
        assert!(text.ends_with("there is no metric `valid/loss`; there are: train/loss"), "{text}");
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
