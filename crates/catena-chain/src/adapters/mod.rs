//! Callbacks around callbacks, and closures as callbacks.
mod adapted;
mod callback_ext;
mod named;
mod on;
mod only;
mod throttled;

pub use adapted::{Adapted, Adapter};
pub use callback_ext::CallbackExt;
pub use named::{InPhase, InRole, Named};
pub use on::{Look, On, look, on};
pub use throttled::Throttled;
