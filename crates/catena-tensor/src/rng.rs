//! torch's random generators: seeding, keeping, and who may use them.
//!
//! A generator is one a process and a device, and so is torch's thread count: two trainings in one process would disturb
//! each other. Whoever trains holds [`Exclusive`].
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use catena_native::generator;
use tch::{Cuda, Device, Tensor};

use crate::error::{Error, Result};

/// Seeds the generators of the CPU and of every GPU. Source: `torch.manual_seed`.
pub fn manual_seed(seed: u64) {
    tch::manual_seed(seed.cast_signed());
}

/// The state of the generators at one moment, to be put back later.
///
/// ```
/// use catena_tensor::rng::Generators;
/// use tch::{Device, Kind, Tensor};
///
/// let draw = || Tensor::randn([2], (Kind::Double, Device::Cpu));
/// let kept = Generators::keep()?;
/// let first = draw();
/// kept.put_back()?;
/// assert_eq!(first, draw());
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Generators {
    states: Vec<(Device, Tensor)>,
}

impl Generators {
    /// Keeps the state of the CPU's generator and of every GPU's.
    pub fn keep() -> Result<Self> {
        let gpus = if Cuda::is_available() { Cuda::device_count().max(0) as usize } else { 0 };
        let devices = std::iter::once(Device::Cpu).chain((0..gpus).map(Device::Cuda));
        let states = devices.map(|device| Ok((device, generator::state(device)?))).collect::<Result<_>>()?;
        Ok(Self { states })
    }

    /// States that were kept, one a device.
    pub fn from_states(states: Vec<(Device, Tensor)>) -> Self {
        Self { states }
    }

    /// The states, one a device: bytes that only torch understands.
    pub fn states(&self) -> impl Iterator<Item = (Device, &Tensor)> {
        self.states.iter().map(|(device, state)| (*device, state))
    }

    /// Whether nothing has been drawn since [`Generators::keep`].
    pub fn are_as_kept(&self) -> Result<bool> {
        for (device, state) in &self.states {
            if generator::state(*device)? != *state {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts the state back: what is drawn next is what was drawn after [`Generators::keep`].
    pub fn put_back(&self) -> Result<()> {
        for (device, state) in &self.states {
            generator::set_state(*device, state)?;
        }
        Ok(())
    }
}

struct Owner {
    thread: Option<ThreadId>,
    holds: usize,
}

static OWNER: Mutex<Owner> = Mutex::new(Owner { thread: None, holds: 0 });
static FREED: Condvar = Condvar::new();

fn owner() -> MutexGuard<'static, Owner> {
    OWNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The right to use torch's generators and thread count: one thread a process has it at a time, as often as it likes.
///
/// A running `Runner` holds it. Tests that train take it first, so that they wait for each other.
///
/// ```
/// use catena_tensor::rng::Exclusive;
///
/// let held = Exclusive::wait();
/// assert!(Exclusive::now().is_ok(), "the same thread may take it again");
/// assert!(std::thread::spawn(|| Exclusive::now().is_err()).join().unwrap());
/// drop(held);
/// ```
#[derive(Debug)]
#[must_use = "it is given back when dropped"]
pub struct Exclusive {
    // given back on the thread that took it
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Exclusive {
    /// Takes it, or says [`Error::Busy`] if another thread has it.
    pub fn now() -> Result<Self> {
        let mut owner = owner();
        let me = thread::current().id();
        if owner.thread.is_some_and(|thread| thread != me) {
            return Err(Error::Busy);
        }
        Ok(Self::take(&mut owner, me))
    }

    /// Waits until no other thread has it, and takes it.
    pub fn wait() -> Self {
        let me = thread::current().id();
        let mut owner = owner();
        while owner.thread.is_some_and(|thread| thread != me) {
            owner = FREED.wait(owner).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        Self::take(&mut owner, me)
    }

    fn take(owner: &mut Owner, me: ThreadId) -> Self {
        owner.thread = Some(me);
        owner.holds += 1;
        Self { _not_send: std::marker::PhantomData }
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        let mut owner = owner();
        owner.holds -= 1;
        if owner.holds == 0 {
            owner.thread = None;
            FREED.notify_all();
        }
    }
}
