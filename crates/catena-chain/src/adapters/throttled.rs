//! A callback that hears batches or epochs only so often.
use serde_json::{Value, json};

use super::Adapter;
use crate::about::About;
use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, Events};
use crate::every::{Every, Trigger};
use catena_tensor::state::State;

/// Lets a callback hear batches or epochs only so often. Made by [`CallbackExt::every`](crate::CallbackExt::every).
///
/// With batches, steps or seconds it is decided at each Train batch's `batch_start` whether that batch's events are let
/// through; batches of evaluations are not, and other events always are. With steps the answer holds for all batches of an
/// accumulation window, the one that closes it included. With epochs it is decided at `epoch_start` for all
/// that happens in the epoch; events of stage and run are always let through. With [`Every::Never`] none is.
///
/// ```
/// use catena_chain::{CallbackExt, Event, Every, testing};
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
            Every::Batches(_) if about.acts() && is_of_windows(about.hears) => {
                let name = &about.name;
                let text = format!(
                    "`every` is {every}, but what {name} does to the loss or the gradients of a batch and what it does in the step belong together, and a window of several batches would be torn; give a number of steps or epochs"
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
        let mut take = |name: &str| State::json(state[name].take());
        self.trigger.load_state(&take("trigger"))?;
        self.open = take("open").read()?;
        Ok(())
    }
}

/// Whether a callback that hears this works on a window in two places: in its micro-batches, and in its step.
fn is_of_windows(hears: Events) -> bool {
    let in_batches = [Event::Forward, Event::Loss, Event::Backward];
    hears != Events::ALL
        && hears.contains(Event::Step)
        && in_batches.into_iter().any(|event| hears.contains(event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::CallbackExt;
    use crate::adapters::{look, on};
    use crate::callback::Callback;
    use crate::flow::Flow;
    use crate::phase::Phase;

    #[test]
    fn what_works_on_a_window_in_two_places_is_not_torn_by_a_number_of_batches() {
        let checked = |events: &[Event], every: Every| {
            struct Hears(Events, bool);
            impl Callback for Hears {
                fn state(&self) -> State {
                    State::none()
                }
                fn about(&self) -> About {
                    let about = About::of::<Self>().hears(self.0);
                    if self.1 { about } else { about.looks() }
                }
            }
            [true, false].map(|acts| Hears(Events::of(events), acts).every(every).check().is_ok())
        };
        for events in [&[Event::Loss, Event::Step][..], &[Event::Backward, Event::Step]] {
            assert_eq!(checked(events, Every::Batches(2)), [false, true], "{events:?}");
            assert_eq!(checked(events, Every::Steps(2)), [true, true]);
            assert_eq!(checked(events, Every::Epochs(2)), [true, true]);
        }
        assert_eq!(checked(&[Event::Step], Every::Batches(2)), [true, true]);
        assert_eq!(checked(&[Event::BatchStart, Event::Forward], Every::Batches(2)), [true, true]);
    }

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
