//! Settings that several rules have.
use crate::settings::Range::{AtLeast, Closed, ClosedOpen};
use crate::settings::Setting;

/// The learning rate.
pub(super) const fn lr<R>(at: fn(&mut R) -> &mut f64) -> Setting<R> {
    not_negative("lr", at, "The learning rate")
}

/// How much of Adam's and its kin's running means is kept at each step.
pub(super) const fn betas<R>(at: fn(&mut R) -> &mut (f64, f64)) -> Setting<R> {
    let doc = "How much of the running means is kept at each step";
    Setting::pair("betas", ["beta1", "beta2"], at, [ClosedOpen(0.0, 1.0); 2], doc)
}

/// A number that is not negative.
pub(super) const fn not_negative<R>(
    name: &'static str,
    at: fn(&mut R) -> &mut f64,
    doc: &'static str,
) -> Setting<R> {
    Setting::number(name, at, AtLeast(0.0), doc)
}

/// A weight in a running mean, from 0 to 1.
pub(super) const fn weight<R>(
    name: &'static str,
    at: fn(&mut R) -> &mut f64,
    doc: &'static str,
) -> Setting<R> {
    Setting::number(name, at, Closed(0.0, 1.0), doc)
}

/// Whether weight decay is AdamW's.
pub(super) const fn decoupled_weight_decay<R>() -> Setting<R> {
    Setting::switch("decoupled_weight_decay", "Decay acts on the parameter, not through the gradient")
}

/// Whether a step goes up.
pub(super) const fn maximize<R>() -> Setting<R> {
    Setting::switch("maximize", "Goes up the gradient, not down")
}
