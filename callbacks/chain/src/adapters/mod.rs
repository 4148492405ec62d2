//! Callbacks around callbacks, and closures as callbacks.
mod named;
mod on;
mod only;
mod throttled;

pub use named::{Named, Phased};
pub use on::{On, on};
pub use only::{Only, OnlyIn};
pub use throttled::Throttled;
