//! Evaluations in the middle of training.
use catena_chain::{
    About, Callback, Context, Event, Events, Every, Flow, Lifetime, Phase, Result, State, Trigger,
};

use super::never_due;

/// Asks for an evaluation every so often: it runs at the safe point after the batch (or epoch), and leaves the training as it was.
///
/// The loader is `valid` unless [`Validate::loader`] names another; give it to the stage with `Stage::on_request` if it should
/// not run at each epoch's end too. On resume: when it was due last is kept.
///
/// ```
/// use catena_callbacks::Validate;
/// use catena_chain::{Event, Every, testing};
///
/// let mut driver = testing::driver(vec![Box::new(Validate::every(Every::Batches(2)))])?; // at batch 1
/// driver.fire(Event::BatchEnd)?;
/// assert!(driver.take_evaluations().is_empty());
/// driver.enter_batch(testing::tiny_batch(6));
/// driver.fire(Event::BatchEnd)?;
/// assert_eq!(driver.take_evaluations(), ["valid"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Validate {
    loader: String,
    trigger: Trigger,
}

impl Validate {
    /// On the loader `valid`, so often.
    pub fn every(every: Every) -> Self {
        Self { loader: "valid".into(), trigger: Trigger::new(every) }
    }

    /// On another loader (default `valid`).
    #[must_use]
    pub fn loader(mut self, loader: impl Into<String>) -> Self {
        self.loader = loader.into();
        self
    }

    fn ask(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.trigger.due(cx) {
            cx.request_evaluation(self.loader.clone());
        }
        Ok(Flow::GO)
    }

    fn goes_by_epoch(&self) -> bool {
        matches!(self.trigger.every(), Every::Epochs(_))
    }
}

impl Callback for Validate {
    fn about(&self) -> About {
        // a loader's end may make a step of the window that it leaves open
        let inside: &[Event] = &[Event::StageStart, Event::BatchEnd, Event::LoaderEnd];
        let hears = if self.goes_by_epoch() { &[Event::StageStart, Event::EpochEnd] } else { inside };
        About::new::<Self>(Phase::Decide, Events::of(hears))
            .looks()
            .lifetime(Lifetime::Stage)
            .logs_nothing()
            .evaluates(&self.loader)
            .note(format!("{} every {}", self.loader, self.trigger.every()))
    }

    fn state(&self) -> State {
        let Self { loader: _, trigger } = self;
        trigger.state()
    }

    fn load_state(&mut self, state: State) -> Result<()> {
        self.trigger.load_state(&state)
    }

    fn check(&self) -> Result<()> {
        match self.trigger.every() {
            Every::Seconds(_) | Every::Overhead(_) => {
                let every = self.trigger.every();
                Err(format!("`{every}` goes by the clock, which may not choose what is computed; give batches, steps or epochs")
                    .into())
            }
            every => every.check(),
        }
    }

    fn on_stage_start(&mut self, cx: &mut Context) -> Result<Flow> {
        let what = format!("Validate on `{}`", self.loader);
        if let Some(text) = never_due::in_stage(&what, self.trigger.every(), cx) {
            log::warn!("{text}");
        }
        Ok(Flow::GO)
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.goes_by_epoch() {
            return Ok(Flow::GO);
        }
        if cx.is_train() { self.ask(cx) } else { Ok(Flow::GO) }
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.on_batch_end(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        if self.goes_by_epoch() { self.ask(cx) } else { Ok(Flow::GO) }
    }
}
