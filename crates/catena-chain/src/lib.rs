//! The contract of catena: what happens when, and how a callback takes part.
//!
//! A custom callback needs this crate alone (or `catena`, which re-exports it):
//!
//! ```
//! use catena_chain::{Callback, Context, Flow, Result, State};
//!
//! /// Stops the run when the training loss of an epoch is low enough.
//! struct GoodEnough(f64);
//!
//! impl Callback for GoodEnough {
//!     fn state(&self) -> State {
//!         State::none()
//!     }
//!
//!     fn on_epoch_end(&mut self, cx: &mut Context) -> Result<Flow> {
//!         let done = cx.metrics.get("train/loss").is_some_and(|loss| loss < self.0);
//!         Ok(if done { Flow::STOP_RUN } else { Flow::GO })
//!     }
//! }
//! ```
//!
//! * [`Event`]: the loop as an outline; [`Callback`]: one hook an event
//! * [`About`]: what a callback is, as data: phase, events, effect, metrics, settings
//! * [`Phase`]: in which order callbacks hear an event
//! * [`Flow`]: how a callback skips a step or a batch, or stops a loader, an epoch, a stage, the run
//! * [`Context`]: what callbacks work on
//! * [`State`]: what a callback keeps over a resume
//! * [`Work`]: what the run's time goes into, for who measures it
//! * [`on`] and [`look`]: closures as callbacks
//! * [`Every`]: how often; adapters: [`CallbackExt::every`], [`CallbackExt::only`], [`CallbackExt::named`]
//! * [`Watch`]: each measurement of a metric once, for a callback that decides by it
//! * [`drive`]: what a runner drives the chain with; no callback needs it
//! * [`testing`]: a recorder, a tiny model and loader, a check of a callback
#![warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod about;
mod adapters;
mod aside;
mod callback;
mod chain;
mod context;
pub mod drive;
mod driver;
mod error;
mod event;
mod every;
mod extensions;
mod flow;
mod gradients;
mod metrics;
mod only;
mod optimizers;
mod phase;
mod place;
mod quiet;
mod repetition;
mod scope;
pub mod testing;
mod undo;
mod watch;
mod window;
mod work;

pub use about::{About, Effect, Lifetime, Role, Write, Writes};
pub use adapters::{Adapted, Adapter, CallbackExt, InPhase, InRole, Look, Named, On, Throttled, look, on};
pub use callback::Callback;
pub use context::Context;
pub use error::{BoxError, Error, Result};
pub use event::{Event, Events};
pub use every::{Every, Trigger};
pub use extensions::Extensions;
pub use flow::{Flow, Outcome, Skip, Stop};
pub use metrics::{Deferred, Extremes, Metrics, Reduce, Value, read_values};
pub use only::Only;
pub use optimizers::Optimizers;
pub use phase::Phase;
pub use place::Place;
pub use watch::Watch;
pub use window::Window;
pub use work::{Edge, Work};

pub use catena_tensor as tensor;
pub use catena_tensor::state::State;
pub use catena_tensor::type_name::short_name;
