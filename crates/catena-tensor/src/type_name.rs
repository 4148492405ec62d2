//! The names of types.

/// A type's name without its path and its parameters.
///
/// ```
/// assert_eq!(catena_tensor::type_name::short_name::<std::collections::BTreeMap<String, f64>>(), "BTreeMap");
/// ```
pub fn short_name<T: ?Sized>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split_once('<').map_or(name, |(head, _)| head);
    name.rsplit("::").next().unwrap_or(name)
}
