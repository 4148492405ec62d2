//! For tests of callbacks: a recorder, a driver in the middle of a batch, a tiny model and loader.
mod contract;
mod tiny;

use std::cell::RefCell;
use std::rc::Rc;

use crate::about::About;
use crate::callback::Callback;
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::flow::Flow;
use crate::phase::Phase;
use catena_tensor::state::State;

pub use catena_tensor::data::check_loader;

pub use self::contract::check_callback;
pub use self::tiny::{driver, tiny_batch, tiny_loader, tiny_model};

/// Writes down every event that it hears, with the loader's name where there is one: `batch_end train`.
#[derive(Debug)]
pub struct Recorder {
    record: Recording,
    place: bool,
}

/// What a [`Recorder`] has written.
#[derive(Clone, Debug, Default)]
pub struct Recording(Rc<RefCell<Vec<String>>>);

impl Recording {
    /// The events so far, each as text.
    pub fn events(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Adds a line of a test's own.
    pub fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }
}

impl Recorder {
    /// A recorder, and what it writes.
    pub fn new() -> (Self, Recording) {
        let record = Recording::default();
        (Self { record: record.clone(), place: false }, record)
    }

    /// Writes the loader's name and the batch's number beside each event: `batch_end train 3`.
    #[must_use]
    pub fn with_place(mut self) -> Self {
        self.place = true;
        self
    }
}

impl Callback for Recorder {
    fn about(&self) -> About {
        About::of::<Self>().phase(Phase::Report).looks().logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn on_event(&mut self, event: Event, cx: &mut Context) -> Result<Flow> {
        let (loader, batch) = (cx.loader(), cx.loader_batch());
        self.record.add(match (self.place, loader) {
            (false, _) | (true, "") => event.to_string(),
            (true, _) if event.is_of_batch() => format!("{event} {loader} {batch}"),
            (true, _) => format!("{event} {loader}"),
        });
        Ok(Flow::GO)
    }
}
