//! Process-wide settings and facts of libtorch.
use std::ffi::{CStr, c_int};

use crate::error::{Result, check};
use crate::ffi;

/// The libtorch this crate was compiled for, such as `2.13.0`.
pub fn libtorch_version() -> String {
    // SAFETY: a string literal of the shim.
    unsafe { CStr::from_ptr(ffi::catena_libtorch_version()) }.to_string_lossy().into_owned()
}

/// The instruction set that libtorch's CPU kernels use here, such as `AVX2`. Bits can differ between two of them.
pub fn cpu_capability() -> Result<String> {
    let mut text = std::ptr::null();
    // SAFETY: the shim fills `text` with a string that lives as long as the process.
    check(unsafe { ffi::catena_cpu_capability(&mut text) })?;
    // SAFETY: as above.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Whether operations without a deterministic implementation may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Determinism {
    /// They run.
    #[default]
    Off,
    /// They run, with a warning.
    Warn,
    /// They are errors.
    On,
}

/// Sets [`Determinism`] for the process. Source: `torch.use_deterministic_algorithms`.
pub fn set_deterministic(determinism: Determinism) -> Result<()> {
    let (enabled, warn_only) = match determinism {
        Determinism::Off => (0, 0),
        Determinism::Warn => (1, 1),
        Determinism::On => (1, 0),
    };
    // SAFETY: plain numbers.
    check(unsafe { ffi::catena_set_deterministic(enabled, warn_only) })
}

/// The [`Determinism`] in force.
pub fn deterministic() -> Result<Determinism> {
    let (mut enabled, mut warn_only): (c_int, c_int) = (0, 0);
    // SAFETY: two live integers.
    check(unsafe { ffi::catena_deterministic(&mut enabled, &mut warn_only) })?;
    Ok(match (enabled, warn_only) {
        (0, _) => Determinism::Off,
        (_, 0) => Determinism::On,
        _ => Determinism::Warn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn determinism_is_what_was_set() {
        for determinism in [Determinism::Warn, Determinism::On, Determinism::Off] {
            set_deterministic(determinism).unwrap();
            assert_eq!(deterministic().unwrap(), determinism);
        }
    }

    #[test]
    fn the_version_is_the_one_tch_wants() {
        assert!(libtorch_version().starts_with("2.13."));
        assert!(!cpu_capability().unwrap().is_empty());
    }
}
