//! The functions that libtorch would call if this crate had none of these names.
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function by its name: the next one after this program's, or libtorch's.
pub(super) struct Own {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Own {
    pub(super) const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Where it is; null if there is none.
    pub(super) fn find(&self) -> *mut c_void {
        let found = self.found.load(Ordering::Relaxed);
        if !found.is_null() {
            return found;
        }
        // SAFETY: the name ends with NUL, and only what is loaded already is looked through.
        let found = unsafe {
            let next = libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr());
            if next.is_null() {
                let torch = libc::dlopen(c"libtorch_cpu.so".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
                if torch.is_null() { torch } else { libc::dlsym(torch, self.name.as_ptr()) }
            } else {
                next
            }
        };
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// Whether the program's libraries find this function under this name: not if this crate is in a library that was loaded later, as Python's extensions are.
pub(super) fn is_first(name: &CStr, function: *const c_void) -> bool {
    // SAFETY: the name ends with NUL; the handle is the program's own and stays.
    unsafe {
        let program = libc::dlopen(std::ptr::null(), libc::RTLD_LAZY);
        std::ptr::eq(libc::dlsym(program, name.as_ptr()), function)
    }
}
