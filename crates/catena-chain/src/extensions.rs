//! What callbacks tell each other, by type.
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// One value a type: what one callback leaves for others to find.
///
/// What is left in a stage is of that stage: it is gone when the next one begins, so that no callback reads another stage's value. What is left
/// outside of stages, as at `run_start`, or by [`Extensions::insert_for_run`], stays. No snapshot holds any of it: a callback keeps in its
/// [`State`](crate::State) what it needs after a resume, and leaves it here again in
/// [`Callback::on_resumed`](crate::Callback::on_resumed).
///
/// ```
/// use catena_chain::Extensions;
///
/// struct Temperature(f64);
///
/// let mut ext = Extensions::default();
/// ext.insert(Temperature(0.5));
/// if let Some(temperature) = ext.get_mut::<Temperature>() {
///     temperature.0 *= 2.0;
/// }
/// assert_eq!(ext.get::<Temperature>().map(|t| t.0), Some(1.0));
/// ```
#[derive(Default)]
pub struct Extensions {
    values: HashMap<TypeId, Left>,
    in_stage: bool,
}

struct Left {
    value: Box<dyn Any>,
    /// Whether it goes when the next stage begins.
    of_stage: bool,
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("values", &self.values.len()).finish()
    }
}

impl Extensions {
    /// Puts a value in, and returns the one of its type that was there. In a stage it is there until the next stage begins.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        self.put(value, self.in_stage)
    }

    /// As [`Extensions::insert`], for the rest of the run.
    pub fn insert_for_run<T: 'static>(&mut self, value: T) -> Option<T> {
        self.put(value, false)
    }

    fn put<T: 'static>(&mut self, value: T, of_stage: bool) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Left { value: Box::new(value), of_stage });
        old.and_then(|old| old.value.downcast().ok()).map(|old| *old)
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>()).and_then(|left| left.value.downcast_ref())
    }

    /// The value of this type, to be changed.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.values.get_mut(&TypeId::of::<T>()).and_then(|left| left.value.downcast_mut())
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        self.values.remove(&TypeId::of::<T>()).and_then(|left| left.value.downcast().ok()).map(|value| *value)
    }

    /// A stage begins: what others left goes.
    pub(crate) fn enter_stage(&mut self) {
        self.values.retain(|_, left| !left.of_stage);
        self.in_stage = true;
    }

    pub(crate) fn leave_stage(&mut self) {
        self.in_stage = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_in_a_stage_goes_when_the_next_begins_and_all_else_stays() {
        let mut ext = Extensions::default();
        ext.insert("of the run's start");
        ext.enter_stage();
        ext.insert(1_u8);
        ext.insert_for_run(2_u16);
        ext.leave_stage();
        assert_eq!(ext.get::<u8>(), Some(&1), "at the run's end it is there");
        ext.enter_stage();
        assert_eq!(ext.get::<u8>(), None);
        assert_eq!((ext.get::<u16>(), ext.get::<&str>()), (Some(&2), Some(&"of the run's start")));
        // one that is changed stays what it was
        ext.insert_for_run(3_u8);
        ext.enter_stage();
        assert_eq!(ext.get::<u8>(), Some(&3));
    }
}
