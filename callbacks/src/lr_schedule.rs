//! Moves learning rates along a schedule.
use catena_chain::{Callback, Context, Event, Events, Flow, Outcome, Phase, Reduce, Result, State};
use catena_tensor::schedule::Schedule;

/// Sets the learning rate of each group of the pass's optimizer from a [`Schedule`], relative to the rate that the group was
/// made with, and its momentum (or first beta) if the schedule moves it. Logs `lr`, the rate that the last step used.
///
/// The counter is the optimizer's own steps: a step that was skipped moves nothing. With [`LrSchedule::by_epoch`] it is the
/// stage's epochs. On resume: the optimizer keeps its steps and rates, so there is nothing to keep here.
///
/// ```
/// use catena_callbacks::{LrSchedule, Optimize};
/// use catena_chain::{Event, testing};
/// use catena_tensor::schedule::CosineAnnealing;
///
/// let schedule = LrSchedule::new(CosineAnnealing::new(2));
/// let mut driver = testing::driver(vec![Box::new(Optimize), Box::new(schedule)])?;
/// driver.fire(Event::StageStart)?;
/// driver.fire(Event::Step)?;
/// assert_eq!(driver.context().lr(), Some(0.1)); // the step that was made used this
/// assert_eq!(driver.context().optimizer().unwrap().lr(), 0.05); // the next one uses this
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct LrSchedule {
    schedule: Box<dyn Schedule>,
    by_epoch: bool,
}

impl LrSchedule {
    /// By step.
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self::boxed(Box::new(schedule))
    }

    /// By step, from a schedule whose type is not known.
    pub fn boxed(schedule: Box<dyn Schedule>) -> Self {
        Self { schedule, by_epoch: false }
    }

    /// By epoch of the stage: the first epoch has counter 0.
    #[must_use]
    pub fn by_epoch(mut self) -> Self {
        self.by_epoch = true;
        self
    }

    fn set(&self, cx: &mut Context, counter: u64) -> Result<()> {
        let momentum = self.schedule.momentum(counter);
        for group in cx.optimizer_mut()?.groups_mut() {
            group.set("lr", self.schedule.lr(group.initial_lr(), counter))?;
            if let Some(momentum) = momentum {
                let name = if group.get("momentum").is_some() { "momentum" } else { "beta1" };
                group.set(name, momentum)?;
            }
        }
        Ok(())
    }
}

impl Callback for LrSchedule {
    fn state(&self) -> State {
        State::none()
    }

    fn phase(&self) -> Phase {
        Phase::Schedule
    }

    fn hears(&self) -> Events {
        let by_step = Events::of(&[Event::StageStart, Event::Step]);
        if self.by_epoch { by_step.with(Events::of(&[Event::EpochEnd])) } else { by_step }
    }

    fn logs(&self) -> Option<Vec<String>> {
        Some(vec!["lr".into()])
    }

    fn check(&self) -> Result<()> {
        Ok(self.schedule.check()?)
    }

    fn note(&self) -> String {
        format!("{} by {}", self.schedule.name(), if self.by_epoch { "epoch" } else { "step" })
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        self.set(cx, 0)?;
        Ok(Flow::GO)
    }

    fn on_step(&mut self, cx: &mut Context) -> Result<Flow> {
        if *cx.outcome() != Outcome::Stepped {
            return Ok(Flow::GO);
        }
        if let Some(lr) = cx.lr() {
            cx.log("lr", lr, Reduce::Last)?;
        }
        if !self.by_epoch {
            let steps = cx.optimizer_mut()?.steps();
            self.set(cx, steps)?;
        }
        Ok(Flow::GO)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if !self.by_epoch {
            return cx.default_hook();
        }
        let epochs = cx.epoch();
        self.set(cx, epochs)?;
        Ok(Flow::GO)
    }
}
