//! What callbacks tell each other, by type.
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// One value a type: what one callback leaves for others to find.
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
    values: HashMap<TypeId, Box<dyn Any>>,
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("values", &self.values.len()).finish()
    }
}

impl Extensions {
    /// Puts a value in, and returns the one of its type that was there.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Box::new(value));
        old.and_then(|old| old.downcast().ok()).map(|old| *old)
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
    }

    /// The value of this type, to be changed.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.values.get_mut(&TypeId::of::<T>()).and_then(|value| value.downcast_mut())
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        self.values.remove(&TypeId::of::<T>()).and_then(|value| value.downcast().ok()).map(|value| *value)
    }
}
