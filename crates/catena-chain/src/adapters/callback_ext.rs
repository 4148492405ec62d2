//! Adapters as methods.
use crate::about::Role;
use crate::adapters::adapted::Adapted;
use crate::adapters::named::{InPhase, InRole, Named};
use crate::adapters::throttled::Throttled;
use crate::callback::Callback;
use crate::every::Every;
use crate::only::Only;
use crate::phase::Phase;

/// What can be made of any callback: the same one under another name, in another phase or role, less often, or in some places only. It is in catena's prelude.
pub trait CallbackExt: Callback + Sized {
    /// The same callback under another name.
    fn named(self, name: impl Into<String>) -> Adapted<Self, Named> {
        Adapted::new(self, Named(name.into()))
    }

    /// The same callback in another phase.
    fn in_phase(self, phase: Phase) -> Adapted<Self, InPhase> {
        Adapted::new(self, InPhase(phase))
    }

    /// The same callback in this role: the runner then puts in no callback of its own for it.
    fn in_role(self, role: Role) -> Adapted<Self, InRole> {
        Adapted::new(self, InRole(role))
    }

    /// The same callback, hearing batches (or epochs) only as often as that.
    fn every(self, every: Every) -> Adapted<Self, Throttled> {
        Adapted::new(self, Throttled::new(every))
    }

    /// The same callback, hearing one loader, mode or stage only.
    fn only(self, only: impl Into<Only>) -> Adapted<Self, Only> {
        Adapted::new(self, only.into())
    }
}

impl<C: Callback> CallbackExt for C {}
