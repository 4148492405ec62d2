//! Freed memory of CPU tensors, kept for the next tensors of its size.
//!
//! A training step asks for the same sizes again and again. libtorch's own allocator hands each request to the system's, which returns large blocks to the kernel and gets
//! them anew, page by page. A kept block comes at once. No number changes by it.
use std::sync::{Mutex, PoisonError};

use crate::error::{Result, check};
use crate::ffi;

/// How much a run keeps by default: 1 GiB.
pub const DEFAULT: u64 = 1 << 30;

/// The bounds of all [`KeptMemory`] that is alive.
static BOUNDS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// As long as it lives, freed memory of CPU tensors is kept, in the whole process. Made by [`keep`].
#[derive(Debug)]
#[must_use = "memory is kept only as long as this lives"]
pub struct KeptMemory {
    at_most: u64,
}

/// Keeps at most so many bytes of freed memory until what it returns is dropped; then the system gets back what was kept, but for small blocks (together at most 4 MiB a
/// thread) that other threads have freed: those go at their threads' end. With 0 nothing is kept. Where several are alive, the largest bound holds.
///
/// The first call with a bound above 0 puts an allocator into the place of libtorch's, and it stays there; while it keeps nothing, each block comes from the system's
/// allocator, as with libtorch's own.
///
/// Source: `c10::SetCPUAllocator`.
///
/// ```
/// use catena_native::memory;
/// use tch::{Device, Kind, Tensor};
///
/// let keeping = memory::keep(1 << 20)?;
/// let x = Tensor::zeros([1000], (Kind::Float, Device::Cpu));
/// assert_eq!(memory::kept(), 0);
/// drop(x);
/// assert_eq!(memory::kept(), 4096);
/// drop(keeping);
/// assert_eq!(memory::kept(), 0);
/// # Ok::<(), catena_native::Error>(())
/// ```
pub fn keep(at_most: u64) -> Result<KeptMemory> {
    let mut bounds = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    bounds.push(at_most);
    set_bound(&bounds)?;
    Ok(KeptMemory { at_most })
}

/// How many bytes are kept now, and no tensor has.
pub fn kept() -> u64 {
    // SAFETY: it reads a number.
    unsafe { ffi::catena_kept_memory() }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        let mut bounds = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = bounds.iter().position(|bound| *bound == self.at_most) {
            bounds.swap_remove(own);
            // so that each run takes the same memory, the first one as well
            bounds.shrink_to_fit();
        }
        // a lower bound only frees, which can't fail
        let _ = set_bound(&bounds);
    }
}

fn set_bound(bounds: &[u64]) -> Result<()> {
    // SAFETY: the allocator that takes the place of libtorch's is never freed, a block knows by which of the two it was made, and only blocks that no tensor has are freed.
    check(unsafe { ffi::catena_keep_memory(bounds.iter().copied().max().unwrap_or(0)) })
}
