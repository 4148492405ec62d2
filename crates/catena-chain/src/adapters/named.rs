//! A callback under another name, in another phase or in another role.
use super::Adapter;
use crate::about::{About, Role};
use crate::phase::Phase;

/// Gives a callback another name. Made by [`CallbackExt::named`](crate::CallbackExt::named).
///
/// ```
/// use catena_chain::{Callback, CallbackExt, Event, Flow, on};
///
/// assert_eq!(on(Event::Step, |_| Ok(Flow::GO)).named("first").about().name, "first");
/// ```
#[derive(Debug)]
pub struct Named(pub(crate) String);

/// Puts a callback into another phase. Made by [`CallbackExt::in_phase`](crate::CallbackExt::in_phase).
#[derive(Debug)]
pub struct InPhase(pub(crate) Phase);

/// Gives a callback a role. Made by [`CallbackExt::in_role`](crate::CallbackExt::in_role).
///
/// ```
/// use catena_chain::{Callback, CallbackExt, Event, Flow, Phase, Role, on};
///
/// let forward = on(Event::Forward, |_| Ok(Flow::GO)).in_role(Role::Forward).in_phase(Phase::Forward);
/// assert_eq!(forward.about().role, Some(Role::Forward));
/// ```
#[derive(Debug)]
pub struct InRole(pub(crate) Role);

impl Adapter for Named {
    fn change(&self, about: &mut About) {
        about.name.clone_from(&self.0);
    }
}

impl Adapter for InPhase {
    fn change(&self, about: &mut About) {
        about.phase = self.0;
    }
}

impl Adapter for InRole {
    fn change(&self, about: &mut About) {
        about.role = Some(self.0);
    }
}
