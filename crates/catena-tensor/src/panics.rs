//! Panics of hooks, models and libtorch, which tch makes of libtorch's errors: caught, and told as errors.
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, PoisonError};

use crate::error::panic_message;

thread_local! {
    /// How many calls on this thread are caught.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic of a caught call was.
    static WHERE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls something, and gives what it answers, or the message of its panic in one line, with the place in the program while a [`Quiet`] is held.
///
/// ```
/// use catena_tensor::panics::caught;
///
/// assert_eq!(caught(|| 3), Ok(3));
/// let message = caught(|| panic!("no label {}", 7)).unwrap_err();
/// assert!(message.starts_with("no label 7"), "{message}");
/// ```
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.set(DEPTH.get() + 1);
    let answer = catch_unwind(AssertUnwindSafe(call));
    DEPTH.set(DEPTH.get() - 1);
    answer.map_err(|panic| {
        let message = panic_message(panic.as_ref());
        match WHERE.take() {
            Some(place) => format!("{message} (at {place})"),
            None => message,
        }
    })
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// How many hold it, and the process's own hook meanwhile.
static HELD: Mutex<(usize, Option<std::sync::Arc<Hook>>)> = Mutex::new((0, None));

/// While it is held, a panic of a call that is caught prints nothing: it becomes an error, which says where it was. Every other panic goes to the hook that the
/// process had before. A hook that the program sets meanwhile is gone when this ends.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Quiet(());

impl Quiet {
    /// From here on.
    pub fn begin() -> Self {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 += 1;
        if held.0 == 1 && !std::thread::panicking() {
            let own = std::sync::Arc::new(take_hook());
            held.1 = Some(own.clone());
            set_hook(Box::new(move |info| match DEPTH.get() {
                0 => own(info),
                _ => WHERE.set(info.location().and_then(place)),
            }));
        }
        Self(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 -= 1;
        // in a panic the hook can't be changed; it lets all pass that is not caught
        if held.0 == 0
            && !std::thread::panicking()
            && let Some(own) = held.1.take()
        {
            set_hook(Box::new(move |info| own(info)));
        }
    }
}

/// A place in the program; none in a library that it uses, which says nothing of the mistake.
fn place(at: &Location<'_>) -> Option<String> {
    let file = at.file();
    let is_own = !file.contains(".cargo/registry") && !file.contains("/rustc/");
    is_own.then(|| format!("{file}:{}", at.line()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn what_is_caught_prints_nothing_and_says_where_and_all_else_goes_to_the_programs_own_hook() {
        let printed = Arc::new(AtomicU32::new(0));
        let count = printed.clone();
        let before = take_hook();
        set_hook(Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let own = || drop(catch_unwind(|| panic!("not ours")));
        {
            let _outer = Quiet::begin();
            let _inner = Quiet::begin();
            let message = caught(|| panic!("ours")).unwrap_err();
            assert!(message.starts_with("ours (at ") && message.contains("panics.rs:"), "{message}");
            assert_eq!(printed.load(Ordering::SeqCst), 0);
            own();
            assert_eq!(printed.load(Ordering::SeqCst), 1);
            let elsewhere = std::thread::spawn(|| panic!("on another thread")).join();
            assert!(elsewhere.is_err());
            assert_eq!(printed.load(Ordering::SeqCst), 2);
        }
        assert_eq!(caught(|| panic!("loud")).unwrap_err() as String, "loud");
        own();
        assert_eq!(printed.load(Ordering::SeqCst), 4);
        set_hook(before);
    }
}
