//! The callbacks in their order, and for each event the list of those that hear it.
use std::fmt;

use catena_tensor::panics::caught;

use crate::about::{About, Lifetime};
use crate::callback::Callback;
use crate::context::Context;
use crate::error::{BoxError, Error};
use crate::event::Event;
use crate::flow::{Flow, Skip, Stop};
use crate::quiet::{is_free, quietly};
use crate::work::{Edge, Work};
use catena_tensor::state::State;

/// A callback and where it belongs.
pub struct Member {
    callback: Box<dyn Callback>,
    stage: Option<usize>,
    acting: bool,
    about: About,
    /// Its state before anything ran, if each stage begins with it.
    initial: Option<State>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.about.name, self.about.phase)
    }
}

impl Member {
    /// A callback of the whole run.
    pub fn new(callback: Box<dyn Callback>) -> Self {
        let about = callback.about();
        let initial = (about.lifetime == Lifetime::Stage).then(|| callback.state());
        Self { callback, stage: None, acting: false, about, initial }
    }

    /// Only in the stage of this number.
    #[must_use]
    pub fn in_stage(mut self, stage: usize) -> Self {
        self.stage = Some(stage);
        self
    }

    /// First in its phase.
    #[must_use]
    pub fn first_in_phase(mut self) -> Self {
        self.acting = true;
        self
    }

    /// The callback's name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// What the callback says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The callback itself.
    pub fn callback(&self) -> &dyn Callback {
        self.callback.as_ref()
    }

    pub(crate) fn callback_mut(&mut self) -> &mut dyn Callback {
        self.callback.as_mut()
    }

    /// Its state before anything ran, if each stage begins with it.
    pub(crate) fn initial(&self) -> Option<State> {
        self.initial.as_ref().map(State::shared)
    }

    /// The number of its stage; none for a callback of the run.
    pub fn stage(&self) -> Option<usize> {
        self.stage
    }

    /// What its state is kept under: its name, and for a callback of one stage `<number of the stage>/<name>`.
    pub fn key(&self) -> String {
        let name = &self.about.name;
        self.stage.map_or_else(|| name.clone(), |stage| format!("{stage}/{name}"))
    }

    /// Whether it takes part in the stage of this number.
    pub fn hears_in(&self, stage: usize) -> bool {
        self.stage.is_none_or(|own| own == stage)
    }

    /// Whether it hears an event in a stage (or, with none, outside of stages).
    pub fn hears(&self, event: Event, stage: Option<usize>) -> bool {
        self.about.hears.contains(event) && (self.stage.is_none() || self.stage == stage)
    }
}

/// The callbacks of a run in their order.
#[derive(Debug)]
pub struct Chain {
    members: Vec<Member>,
    lists: [Vec<usize>; Event::ALL.len()],
    observers: Vec<usize>,
    /// The members' names once more, so that one that observes can be told of itself.
    names: Vec<Box<str>>,
    stage: Option<usize>,
}

/// Who fails, and how.
pub(crate) struct Failure {
    pub(crate) member: usize,
    pub(crate) error: BoxError,
}

impl Chain {
    /// Puts callbacks in order. Two of one name in one stage are an error, and so are two whose states would have one key.
    pub fn new(mut members: Vec<Member>) -> Result<Self, Error> {
        members.sort_by_key(|member| (member.about.phase, !member.acting));
        for (i, a) in members.iter().enumerate() {
            let meets = |b: &&Member| a.stage.is_none() || b.stage.is_none() || a.stage == b.stage;
            if members[..i].iter().filter(meets).any(|b| a.name() == b.name()) {
                return Err(Error::TwoOfOneName(a.name().to_owned()));
            }
            if let Some(b) = members[..i].iter().find(|b| b.key() == a.key()) {
                let (first, second) = (b.name().to_owned(), a.name().to_owned());
                return Err(Error::TwoOfOneKey { first, second, key: a.key() });
            }
        }
        let names = members.iter().map(|member| member.name().into()).collect();
        let (lists, observers) = (Default::default(), Vec::new());
        let mut chain = Self { members, lists, observers, names, stage: None };
        chain.enter(None);
        Ok(chain)
    }

    /// The callbacks, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn members_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }

    pub(crate) fn enter(&mut self, stage: Option<usize>) {
        self.enter_with(stage, |_| true);
    }

    /// Enters a stage, in which only some callbacks are told anything.
    pub(crate) fn enter_with(&mut self, stage: Option<usize>, who: impl Fn(&Member) -> bool) {
        self.stage = stage;
        for event in Event::ALL {
            let hears = |(_, member): &(usize, &Member)| member.hears(event, stage) && who(member);
            let hearing = self.members.iter().enumerate().filter(hears);
            self.lists[event as usize] = hearing.map(|(i, _)| i).collect();
        }
        let is_here = |member: &Member| (member.stage.is_none() || member.stage == stage) && who(member);
        let observing = self.members.iter().enumerate();
        let observing = observing.filter(|(_, member)| is_here(member) && member.about.observes);
        self.observers = observing.map(|(i, _)| i).collect();
    }

    /// Tells those who observe. One that panics is told nothing more: looking ends no run.
    pub(crate) fn tell(&mut self, work: Work<'_>, edge: Edge, cx: &Context) {
        let Self { members, observers, .. } = self;
        observers.retain(|&i| tell_one(&mut members[i], work, edge, cx));
    }

    fn tell_of_hook(&mut self, event: Event, member: usize, edge: Edge, cx: &Context) {
        let Self { members, observers, names, .. } = self;
        let work = Work::Hook { event, callback: &names[member], member };
        observers.retain(|&i| tell_one(&mut members[i], work, edge, cx));
    }

    /// Sends an event; `at` is who is hearing it, for whoever catches a panic.
    pub(crate) fn dispatch(&mut self, event: Event, cx: &mut Context, at: &mut usize) -> Result<(), Failure> {
        let observed = !self.observers.is_empty();
        let weighs = matches!(event, Event::BatchStart | Event::Loss);
        for heard in 0..self.lists[event as usize].len() {
            let i = self.lists[event as usize][heard];
            *at = i;
            let acts = self.members[i].about.acts();
            if cx.repetition.is_running && !acts {
                continue;
            }
            if observed {
                self.tell_of_hook(event, i, Edge::Begin, cx);
            }
            let member = &mut self.members[i];
            let answer = match acts || is_free(event) {
                true => member.callback.on_event(event, cx),
                false => quietly(event, &member.about.name, member.callback.as_mut(), cx),
            };
            if observed {
                self.tell_of_hook(event, i, Edge::End, cx);
            }
            let answer =
                if weighs { answer.and_then(|flow| cx.check_weight(event).map(|()| flow)) } else { answer };
            match answer {
                Ok(Flow::GO) => {}
                Ok(flow) => merge(event, cx, &self.members[i].about, flow)
                    .map_err(|error| Failure { member: i, error })?,
                Err(error) => return Err(Failure { member: i, error }),
            }
        }
        Ok(())
    }

    /// Tells everybody of an error. Errors and panics in here are logged and go no further.
    pub(crate) fn tell_exception(&mut self, cx: &mut Context) {
        for &i in &self.lists[Event::Exception as usize] {
            let member = &mut self.members[i];
            let told = caught(|| member.callback.on_event(Event::Exception, cx));
            match told {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => log::error!("{} failed at exception: {error}", member.name()),
                Err(message) => log::error!("{} panicked at exception: {message}", member.name()),
            }
        }
    }
}

/// Whether it goes on observing.
fn tell_one(member: &mut Member, work: Work<'_>, edge: Edge, cx: &Context) -> bool {
    let told = caught(|| member.callback.on_work(work, edge, cx));
    if let Err(message) = &told {
        log::error!(
            "{} panicked while it observed, and is told nothing more of this stage: {message}",
            member.name()
        );
    }
    told.is_ok()
}

fn merge(event: Event, cx: &mut Context, about: &About, flow: Flow) -> Result<(), BoxError> {
    let (name, reason) = (about.name.as_str(), cx.reason.take());
    if !about.acts() {
        let (callback, place) = (name.to_owned(), Box::new(cx.place()));
        return Err(Error::OnlookerActs { callback, event, place }.into());
    }
    if flow.skip > Skip::None && event.is_of_batch() {
        if !cx.can_still_skip(event) {
            return Err(
                Error::TooLate { callback: name.to_owned(), event, place: Box::new(cx.place()) }.into()
            );
        }
        if flow.skip > cx.flow.skip {
            cx.flow.skip = flow.skip;
            cx.skipped_by = Some(name.to_owned());
        }
    }
    if flow.stop > Stop::None && flow.stop > cx.flow.stop {
        cx.flow.stop = flow.stop;
        cx.stopped_by = Some((name.to_owned(), reason));
    }
    Ok(())
}
