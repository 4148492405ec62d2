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

/// Whether the program's libraries find this crate's function under this name: not if this crate is in a library that was loaded later, as Python's extensions are.
pub(super) fn is_first(name: &CStr) -> bool {
    // the function's own address is no witness: it is looked up by its name as well
    let own = is_first as *const c_void;
    // SAFETY: the name ends with NUL; the handle is the program's own and stays.
    let found = unsafe { libc::dlsym(libc::dlopen(std::ptr::null(), libc::RTLD_LAZY), name.as_ptr()) };
    !found.is_null() && library(found) == library(own)
}

/// Where the library or program begins that holds this address.
fn library(address: *const c_void) -> Option<*mut c_void> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: it is written where there is room for it, and zeros are one too.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init().dli_fbase) }
}
