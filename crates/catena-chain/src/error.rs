//! What can go wrong in a chain, and where it happened.
use crate::event::Event;
use crate::place::Place;

pub use catena_tensor::BoxError;

/// What hooks return: any error can be given with `?`, and a text with `Err("…".into())`.
pub type Result<T> = std::result::Result<T, BoxError>;

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A callback returned an error.
    #[error("{callback} failed at {event} ({place}): {source}")]
    Callback {
        /// The callback's name.
        callback: String,
        /// What it was told.
        event: Event,
        /// Where the run was.
        place: Box<Place>,
        /// What it returned.
        source: BoxError,
    },
    /// A callback, the model or libtorch panicked.
    #[error("{callback} panicked at {event} ({place}): {message}")]
    Panic {
        /// The callback's name.
        callback: String,
        /// What it was told.
        event: Event,
        /// Where the run was.
        place: Box<Place>,
        /// The panic's message, without libtorch's stack frames.
        message: String,
    },
    /// A callback skipped a step that was done.
    #[error(
        "{callback} skipped the step at {event} ({place}), but the optimizer had stepped already; to skip a step, hear it in \
         phase clip or before"
    )]
    TooLate {
        /// The callback's name.
        callback: String,
        /// What it was told.
        event: Event,
        /// Where the run was.
        place: Box<Place>,
    },
    /// A callback that declares that it only looks has skipped or stopped something.
    #[error(
        "{callback} skips or stops at {event} ({place}), but declares that it only looks; leave `.looks()` out of its about(), or \
         use `on(…)` in place of `look(…)`"
    )]
    OnlookerActs {
        /// The callback's name.
        callback: String,
        /// What it was told.
        event: Event,
        /// Where the run was.
        place: Box<Place>,
    },
    /// A callback has a hook for an event that it says it doesn't hear.
    #[error(
        "{callback} has a hook for {event}, but its about() leaves it out of what it hears; add it there, or it is never called"
    )]
    Undeclared {
        /// The callback's name.
        callback: String,
        /// The event.
        event: Event,
    },
    /// A callback that declares that it only looks has drawn random numbers in a batch.
    #[error(
        "{callback} declares that it only looks, but draws from torch's generators at {event}, which changes what the run draws after it; \
         leave `.looks()` out of its about() (`on(…)` in place of `look(…)`), or put the generators back with `rng::Generators::keep`; \
         a thread that draws while a run goes on looks the same: it has to wait with `rng::Exclusive::wait`"
    )]
    OnlookerDraws {
        /// The callback's name.
        callback: String,
        /// The event.
        event: Event,
    },
    /// A callback's state could not be had, or not be taken back.
    #[error("{callback}: {what} failed: {source}")]
    Saving {
        /// The callback's name.
        callback: String,
        /// The method.
        what: &'static str,
        /// What it returned.
        source: BoxError,
    },
    /// What was to hold for a while, such as values in the model, could not be put in place or undone.
    #[error(
        "what was to hold for a while, such as values in the model, could not be put in place or undone: {0}"
    )]
    PutBack(#[source] BoxError),
    /// Two callbacks of one name.
    #[error(
        "two callbacks are named `{0}`; a name is the key of a callback's state, so give one another with `.named(\"…\")`"
    )]
    TwoOfOneName(String),
    /// Two callbacks whose states have one key.
    #[error(
        "the states of the callbacks `{first}` and `{second}` would both have the key `{key}`, as a stage's callback has the stage's number \
         before its name; give one another name with `.named(\"…\")`"
    )]
    TwoOfOneKey {
        /// One callback's name.
        first: String,
        /// The other's.
        second: String,
        /// The key.
        key: String,
    },
}
