//! A callback that hears batches or epochs only so often.
use super::only::join;
use crate::{Callback, Context, Edge, Event, Events, Every, Flow, Phase, Result, State, Trigger, Work};

/// A callback that hears batches or epochs only so often. Made by [`Callback::every`].
///
/// With batches, steps or seconds it is decided at each Train batch's `batch_start` whether that batch's events are let
/// through; batches of evaluations are not, and other events always are. With steps the answer holds for all batches of an
/// accumulation window, the one that closes it included. With epochs it is decided at `epoch_start` for all
/// that happens in the epoch; events of stage and run are always let through. With [`Every::Never`] none is.
///
/// ```
/// use catena_chain::{Callback, Event, Every, testing};
///
/// let (recorder, record) = testing::Recorder::new();
/// let mut driver = testing::driver(vec![Box::new(recorder.every(Every::Batches(2)))])?; // at batch 1
/// for _ in 0..3 {
///     driver.fire(Event::BatchStart)?;
///     driver.fire(Event::BatchEnd)?;
///     driver.enter_batch(testing::tiny_batch(6));
/// }
/// assert_eq!(record.events(), ["batch_start", "batch_end"]); // of batch 2
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug)]
pub struct Throttled<C> {
    inner: C,
    trigger: Trigger,
    open: bool,
}

impl<C> Throttled<C> {
    pub(crate) fn new(inner: C, every: Every) -> Self {
        Self { inner, trigger: Trigger::new(every), open: false }
    }

    fn lets_through(&mut self, event: Event, cx: &Context) -> bool {
        match self.trigger.every() {
            Every::Never => false,
            Every::Epochs(_) => {
                if event == Event::EpochStart {
                    self.open = self.trigger.due(cx);
                }
                let outside = matches!(
                    event,
                    Event::RunStart | Event::StageStart | Event::StageEnd | Event::RunEnd | Event::Exception
                );
                outside || self.open
            }
            Every::Batches(_) | Every::Steps(_) | Every::Seconds(_) | Every::Overhead(_) => {
                if !event.is_of_batch() {
                    return true;
                }
                let in_window = matches!(self.trigger.every(), Every::Steps(_)) && cx.window.is_open();
                if event == Event::BatchStart && cx.is_train() && !in_window {
                    self.open = self.trigger.due(cx);
                }
                self.open && cx.is_train()
            }
        }
    }
}

impl<C: Callback> Callback for Throttled<C> {
    fn state(&self) -> State {
        let Self { inner, trigger, open } = self;
        let mut state = inner.state();
        state.json =
            serde_json::json!({ "inner": state.json, "trigger": trigger.state().json, "open": open });
        state
    }
    fn load_state(&mut self, state: State) -> Result<()> {
        let State { mut json, tensors } = state;
        let mut take = |name: &str| State { json: json[name].take(), tensors: Vec::new() };
        self.trigger.load_state(&take("trigger"))?;
        self.open = take("open").read()?;
        self.inner.load_state(State { tensors, ..take("inner") })
    }
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn phase(&self) -> Phase {
        self.inner.phase()
    }
    fn hears(&self) -> Events {
        self.inner.hears().with(Events::of(&[match self.trigger.every() {
            Every::Epochs(_) | Every::Never => Event::EpochStart,
            Every::Batches(_) | Every::Steps(_) | Every::Seconds(_) | Every::Overhead(_) => Event::BatchStart,
        }]))
    }
    fn logs(&self) -> Option<Vec<String>> {
        self.inner.logs()
    }
    fn watches(&self) -> Vec<String> {
        self.inner.watches()
    }
    fn syncs(&self) -> bool {
        self.inner.syncs()
    }
    fn check(&self) -> Result<()> {
        let every = self.trigger.every();
        every.check()?;
        let only_looks = Phase::LOOKING.contains(&self.phase());
        match every {
            Every::Overhead(_) => return Err("`every` can't be an overhead: that is for snapshots".into()),
            Every::Seconds(_) if !only_looks => {
                return Err(format!(
                    "`every` is {every}, but in phase {} it acts on the training, and a clock must not choose what is computed",
                    self.phase()
                )
                .into());
            }
            _ => (),
        }
        self.inner.check()
    }
    fn flush(&mut self, cx: &mut Context) -> Result<()> {
        self.inner.flush(cx)
    }
    fn observes(&self) -> bool {
        self.inner.observes()
    }
    fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        self.inner.on_work(work, edge, cx);
    }
    fn note(&self) -> String {
        join(&format!("every {}", self.trigger.every()), &self.inner.note())
    }
    fn settings(&self) -> serde_json::Value {
        self.inner.settings()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        if self.lets_through(event, cx) && self.inner.hears().contains(event) {
            self.inner.on_event(event, cx)
        } else {
            Ok(Flow::GO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, on};

    #[test]
    fn a_clock_throttles_only_what_looks_and_an_overhead_nothing() {
        let check = |phase: Phase, every: Every| {
            let callback = on(Event::BatchEnd, |_| Ok(Flow::GO)).in_phase(phase).every(every);
            callback.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(Phase::Report, Every::Seconds(30.0)), Ok(()));
        assert_eq!(check(Phase::Average, Every::Batches(3)), Ok(()));
        let text = "`every` is 30 seconds, but in phase average it acts on the training, and a clock must not choose what is computed";
        assert_eq!(check(Phase::Average, Every::Seconds(30.0)), Err(text.into()));
        let text = "`every` can't be an overhead: that is for snapshots";
        assert_eq!(check(Phase::Report, Every::Overhead(0.01)), Err(text.into()));
        let text = "`every` is 150% overhead, but must be above 0% and at most 100%";
        assert_eq!(check(Phase::Report, Every::Overhead(1.5)), Err(text.into()));
    }
}
