//! What a run's time goes into, for who measures it.
use crate::event::Event;

/// A piece of work of the training thread: told to callbacks that ask for it with
/// [`About::observes`](crate::About::observes), once when it begins and once when it ends.
///
/// What begins later ends earlier; an evaluation holds hooks and data of its own. What an error or a panic ends is not told to end.
///
/// ```
/// use catena_chain::{CallbackExt, About, Callback, Context, Edge, Event, State, Work, look, testing};
///
/// /// Counts how often each callback hears an event.
/// struct Calls(testing::Recording);
///
/// impl Callback for Calls {
///     fn about(&self) -> About {
///         About::of::<Self>().hears([]).looks().observes()
///     }
///     fn state(&self) -> State {
///         State::none()
///     }
///     fn on_work(&mut self, work: Work<'_>, edge: Edge, _: &Context) {
///         if let (Work::Hook { event, callback, .. }, Edge::End) = (work, edge) {
///             self.0.add(format!("{callback} has heard {event}"));
///         }
///     }
/// }
///
/// let record = testing::Recording::default();
/// let idle = look(Event::Loss, |_| Ok(())).named("Idle");
/// let mut driver = testing::driver(vec![Box::new(Calls(record.clone())), Box::new(idle)])?;
/// driver.fire(Event::Loss)?;
/// assert_eq!(record.events(), ["Idle has heard loss"]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Work<'a> {
    /// A callback hears an event.
    Hook {
        /// What it hears.
        event: Event,
        /// Its name.
        callback: &'a str,
        /// Its number in the chain.
        member: usize,
    },
    /// The running loader gives its next batch: the run waits for data.
    Data,
    /// An evaluation between two batches, epochs or stages, as somebody asked for it.
    Evaluation,
    /// A snapshot is taken: the part of it that the run waits for.
    Snapshot,
}

/// Which end of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// It begins now.
    Begin,
    /// It has ended.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about::About;
    use crate::adapters::CallbackExt;
    use crate::adapters::{look, on};
    use crate::callback::Callback;
    use crate::chain::Member;
    use crate::context::Context;
    use crate::driver::Driver;
    use crate::flow::Flow;
    use crate::{State, testing};

    struct Observer {
        record: testing::Recording,
        panics_at: Option<Event>,
    }

    impl Callback for Observer {
        fn about(&self) -> About {
            About::of::<Self>().hears([]).looks().observes()
        }
        fn state(&self) -> State {
            State::none()
        }
        fn on_work(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
            let what = match work {
                Work::Hook { event, callback, member } => format!("{event} {callback} {member}"),
                other => format!("{other:?} of {}", cx.loader()),
            };
            self.record.add(format!("{edge:?} {what}"));
            if matches!(work, Work::Hook { event, .. } if Some(event) == self.panics_at) {
                panic!("it can't look at that");
            }
        }
    }

    fn observer(panics_at: Option<Event>) -> (Observer, testing::Recording) {
        let record = testing::Recording::default();
        (Observer { record: record.clone(), panics_at }, record)
    }

    #[test]
    fn work_is_told_to_begin_and_to_end_also_when_it_ends_in_an_error() {
        let (observer, record) = observer(None);
        let fails = on(Event::Loss, |_| Err("no".into())).named("Fails");
        let silent = on(Event::Loss, |_| Ok(Flow::GO)).named("Silent");
        let chain: Vec<Box<dyn Callback>> =
            vec![Box::new(observer.named("Observer")), Box::new(fails), Box::new(silent)];
        let mut driver = testing::driver(chain).unwrap();
        driver.tell(Work::Data, Edge::Begin);
        driver.tell(Work::Data, Edge::End);
        driver.fire(Event::Loss).unwrap_err();
        assert_eq!(
            record.events(),
            ["Begin Data of train", "End Data of train", "Begin loss Fails 1", "End loss Fails 1"]
        );
    }

    #[test]
    fn one_that_panics_is_told_nothing_more_and_the_run_goes_on() {
        let (panics, record) = observer(Some(Event::Loss));
        let (other, goes_on) = observer(None);
        let idle = look(Event::Loss, |_| Ok(())).named("Idle");
        let chain: Vec<Box<dyn Callback>> =
            vec![Box::new(panics.named("Panics")), Box::new(other), Box::new(idle)];
        let mut driver = testing::driver(chain).unwrap();
        driver.fire(Event::Loss).unwrap();
        driver.fire(Event::Loss).unwrap();
        assert_eq!(record.events(), ["Begin loss Idle 2"]);
        assert_eq!(goes_on.events().len(), 4);
    }

    #[test]
    fn an_observer_of_one_stage_is_told_of_that_stage_only() {
        let (observer, record) = observer(None);
        let elsewhere = Member::new(Box::new(observer)).in_stage(1);
        let settings =
            crate::drive::RunSettings { seed: 0, device: catena_tensor::tch::Device::Cpu, run_dir: None };
        let mut driver = Driver::new(Box::new(testing::tiny_model()), vec![elsewhere], settings).unwrap();
        for (index, told) in [(0, 0), (1, 2)] {
            driver.enter_stage(crate::drive::StageScope { index, ..Default::default() }, Default::default());
            driver.tell(Work::Snapshot, Edge::Begin);
            driver.tell(Work::Snapshot, Edge::End);
            driver.leave_stage();
            driver.tell(Work::Snapshot, Edge::Begin);
            assert_eq!(record.events().len(), told);
        }
    }
}
