//! A callback that hears batches or epochs only so often.
use serde_json::{Value, json};

use super::Adapter;
use super::only::join;
use crate::{About, Context, Event, Events, Every, Result, State, Trigger};

/// Lets a callback hear batches or epochs only so often. Made by [`Callback::every`](crate::Callback::every).
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
pub struct Throttled {
    trigger: Trigger,
    open: bool,
}

impl Throttled {
    pub(crate) fn new(every: Every) -> Self {
        Self { trigger: Trigger::new(every), open: false }
    }
}

impl Adapter for Throttled {
    fn change(&self, about: &mut About) {
        about.note = join(&format!("every {}", self.trigger.every()), &about.note);
        about.adapters.push(format!("every {}", self.trigger.every()));
        about.hears = about.hears.with(Events::from([match self.trigger.every() {
            Every::Epochs(_) | Every::Never => Event::EpochStart,
            Every::Batches(_) | Every::Steps(_) | Every::Seconds(_) | Every::Overhead(_) => Event::BatchStart,
        }]));
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
    fn check(&self, about: &About) -> Result<()> {
        let every = self.trigger.every();
        every.check()?;
        match every {
            Every::Overhead(_) => Err("`every` can't be an overhead: that is for snapshots".into()),
            Every::Seconds(_) if about.acts() => {
                let name = &about.name;
                let text = format!(
                    "`every` is {every}, but {name} acts on the training, and a clock must not choose what is computed; give a \
                     number of batches, steps or epochs, or declare that it only looks (`look(…)`, `About::looks`)"
                );
                Err(text.into())
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> Value {
        let Self { trigger, open } = self;
        json!({ "trigger": trigger.state().json, "open": open })
    }

    fn load_state(&mut self, mut state: Value) -> Result<()> {
        let mut take = |name: &str| State { json: state[name].take(), tensors: Vec::new() };
        self.trigger.load_state(&take("trigger"))?;
        self.open = take("open").read()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Callback, Flow, Phase, look, on};

    #[test]
    fn a_clock_throttles_only_what_looks_and_an_overhead_nothing() {
        let text = |checked: Result<()>| checked.map_err(|error| error.to_string());
        let acts = |every: Every| {
            text(on(Event::BatchEnd, |_| Ok(Flow::GO)).in_phase(Phase::Report).every(every).check())
        };
        let looks = |every: Every| text(look(Event::BatchEnd, |_| Ok(())).every(every).check());
        assert_eq!(looks(Every::Seconds(30.0)), Ok(()));
        assert_eq!(acts(Every::Batches(3)), Ok(()));
        let refused = acts(Every::Seconds(30.0)).unwrap_err();
        let expected = "`every` is 30 seconds, but on_batch_end acts on the training, and a clock must not choose what is computed";
        assert!(refused.starts_with(expected), "{refused}");
        let expected = "`every` can't be an overhead: that is for snapshots";
        assert_eq!(looks(Every::Overhead(0.01)), Err(expected.into()));
        let expected = "`every` is 150% overhead, but must be above 0% and at most 100%";
        assert_eq!(looks(Every::Overhead(1.5)), Err(expected.into()));
    }
}
