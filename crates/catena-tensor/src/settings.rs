//! Settings: from data and to data, with errors that name the setting; their ranges; and registries of what data can name.
//!
//! * [`read`] and [`to_value`]: any `serde` type
//! * [`Range`] and [`require`]: what a setting may be, and the error where it is something else
//! * [`Setting`] and [`Configured`]: a table of settings, from which checks and fields in data follow
//! * [`Registry`]: what can be made by its name; its entries tell their [`Field`]s
mod field;
mod range;
mod registry;
mod setting;
mod value;

pub use field::{Field, FieldKind};
pub use range::{Range, require};
pub use registry::{Entry, Registry, write_named};
pub use setting::{Configured, Setting, count_numbers, number_names};
pub use value::{read, to_value, unknown_field};
