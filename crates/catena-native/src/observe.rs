//! What libtorch does, seen from outside: reads that wait for a device, and the memory that it holds there.
use std::cell::Cell;
use std::ffi::c_int;
use std::marker::PhantomData;

use tch::Device;

use crate::error::{Error, Result, check};
use crate::ffi;

/// Counts the operations of this thread that hand numbers of a device to the host, until it is dropped.
///
/// Source: libtorch's `RecordFunction`, which its profilers use too. There is one counter at a time in a process.
///
/// ```
/// use catena_native::observe::{HostReads, Syncs};
/// use tch::Tensor;
///
/// let reads = HostReads::start()?;
/// let _ = Tensor::from(2.0) * 3.0;
/// assert_eq!(reads.count(), Syncs::default());
/// Tensor::from(2.0).double_value(&[]);
/// assert_eq!(reads.count(), Syncs { scalars: 1, ..Default::default() });
/// # Ok::<(), catena_native::Error>(())
/// ```
#[derive(Debug)]
pub struct HostReads {
    handle: u64,
    // libtorch keeps it by thread
    _not_send: PhantomData<*const ()>,
}

/// How many operations handed numbers of a device to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syncs {
    /// Reads of one number (`item()`, `aten::_local_scalar_dense`). They are counted on the CPU too, where nothing waits.
    pub scalars: u64,
    /// Copies of tensors from a device to the host that wait (`aten::copy_`). On the CPU there are none.
    pub copies: u64,
    /// Results whose size depends on values (`aten::nonzero`, and masks as indices). They are counted on the CPU too.
    pub sizes: u64,
}

impl Syncs {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.scalars + self.copies + self.sizes
    }
}

impl HostReads {
    /// From here on. An error if somebody in this process counts already.
    pub fn start() -> Result<Self> {
        let mut handle = 0;
        // SAFETY: the shim fills a live integer.
        check(unsafe { ffi::catena_syncs_start(&mut handle) })?;
        NOTED.set(0);
        Ok(Self { handle, _not_send: PhantomData })
    }

    /// How many there were since the start.
    pub fn count(&self) -> Syncs {
        let Syncs { mut scalars, mut copies, mut sizes } = Syncs::default();
        // SAFETY: the shim fills three live integers.
        unsafe { ffi::catena_syncs_count(&mut scalars, &mut copies, &mut sizes) };
        Syncs { scalars: scalars + NOTED.get(), copies, sizes }
    }
}

thread_local! {
    static NOTED: Cell<u64> = const { Cell::new(0) };
}

/// Counts the read of a number that a tensor of the CPU was asked for before, where nothing waits: on a device it would be made
/// here.
pub fn note_read() {
    NOTED.set(NOTED.get() + 1);
}

impl Drop for HostReads {
    fn drop(&mut self) {
        // SAFETY: the handle is of this thread, and is given back once.
        let _stopped = check(unsafe { ffi::catena_syncs_stop(self.handle) });
    }
}

/// The memory of a device that libtorch's allocator holds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Of tensors that live.
    pub allocated: u64,
    /// Taken from the device, what is kept for later included.
    pub reserved: u64,
    /// The most that living tensors have had.
    pub peak: u64,
}

/// What libtorch's allocator holds on a GPU. The CPU's memory is the process's: an error. Source: `torch.cuda.memory_stats`.
pub fn device_memory(device: Device) -> Result<DeviceMemory> {
    let (kind, index) = gpu(device)?;
    let (mut allocated, mut reserved, mut peak) = (0, 0, 0);
    // SAFETY: the shim fills three live integers.
    check(unsafe { ffi::catena_device_memory(kind, index, &mut allocated, &mut reserved, &mut peak) })?;
    let bytes = |n: i64| u64::try_from(n).unwrap_or_default();
    Ok(DeviceMemory { allocated: bytes(allocated), reserved: bytes(reserved), peak: bytes(peak) })
}

/// From now on [`DeviceMemory::peak`] is that of what comes. Source: `torch.cuda.reset_peak_memory_stats`.
pub fn reset_peak_memory(device: Device) -> Result<()> {
    let (kind, index) = gpu(device)?;
    // SAFETY: plain numbers.
    check(unsafe { ffi::catena_reset_peak_memory(kind, index) })
}

fn gpu(device: Device) -> Result<(c_int, c_int)> {
    match device {
        Device::Cuda(index) => Ok((1, index as c_int)),
        other => Err(Error::NotImplemented(format!("the memory of {other:?} can't be asked for"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tch::{Kind, Tensor};

    use super::*;

    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn reads_of_one_number_and_of_sizes_are_counted_and_nothing_else_is() {
        let _one = ONE_AT_A_TIME.lock().unwrap();
        let t = Tensor::from_slice(&[1f32, 0.0, 3.0]);
        let reads = HostReads::start().unwrap();
        let sum = (&t + 1.0).sum(Kind::Float);
        let _copy = t.detach_copy().to_kind(Kind::Double);
        assert_eq!(reads.count(), Syncs::default());
        assert_eq!(sum.double_value(&[]), 7.0);
        let _ids = t.nonzero();
        assert_eq!(reads.count(), Syncs { scalars: 1, copies: 0, sizes: 1 });
        assert_eq!(reads.count().total(), 2);
        drop(reads);
        sum.double_value(&[]);
        let again = HostReads::start().unwrap();
        assert_eq!(again.count(), Syncs::default(), "what was read between the two is nobody's");
    }

    #[test]
    fn another_threads_reads_do_not_count_and_a_second_counter_is_refused() {
        let _one = ONE_AT_A_TIME.lock().unwrap();
        let reads = HostReads::start().unwrap();
        let elsewhere = || {
            Tensor::from(1.0).double_value(&[]);
            HostReads::start().map(drop)
        };
        let second = std::thread::spawn(elsewhere).join().unwrap();
        let text = second.unwrap_err().to_string();
        assert_eq!(text, "host reads are being counted already; one counter at a time");
        assert_eq!(reads.count(), Syncs::default());
    }

    #[test]
    fn memory_is_asked_of_gpus_only_and_one_that_is_not_there_is_an_error() {
        assert!(device_memory(Device::Cpu).unwrap_err().to_string().contains("the memory of Cpu"));
        assert!(reset_peak_memory(Device::Cpu).unwrap_err().to_string().contains("the memory of Cpu"));
        if !tch::Cuda::is_available() {
            assert!(device_memory(Device::Cuda(0)).is_err());
        }
    }
}
