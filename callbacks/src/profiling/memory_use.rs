//! How much memory the run takes.
use std::time::{Duration, Instant};

use catena_chain::{About, Callback, Context, Event, Flow, Phase, Result, State};
use catena_record::formats::timing::{self, TimingRow};
use catena_tensor::native::observe::{DeviceMemory, device_memory};
use catena_tensor::tch::Device;
use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// Measures the memory of the process, and on a GPU what libtorch's allocator holds there.
///
/// A row goes to `timing.jsonl` every few seconds and when a loader ends, in bytes; `device` only on a GPU:
///
/// ```text
/// {"time": …, "global_batch": 340, "memory": {"resident": 512180224, "peak": 530214912,
///  "device": {"allocated": 1048576, "reserved": 2097152, "peak": 1572864}}}
/// ```
///
/// The last one is in `cx.ext` too, as [`MemoryInUse`]. The process's memory is read from `/proc`: off Linux it is not known, and left
/// out. Reading it takes some 20 µs, in which nothing waits for the device. On resume: nothing to keep.
///
/// ```
/// use catena_callbacks::{MemoryInUse, MemoryUse};
/// use catena_chain::{Event, testing};
///
/// let mut driver = testing::driver(vec![Box::new(MemoryUse::new().seconds(0.0))])?;
/// driver.fire(Event::BatchEnd)?;
/// if let MemoryInUse { process: Some((resident, peak)), .. } = driver.context().ext.get::<MemoryInUse>().unwrap() {
///     assert!(resident <= peak && *resident > 1 << 20);
/// }
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryUse {
    seconds: f64,
    #[serde(skip)]
    rows: Rows,
    #[serde(skip)]
    told: Option<Instant>,
}

/// How much memory there was in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInUse {
    /// Of the process, in bytes: resident now, and at most since it began. None where it can't be known.
    pub process: Option<(u64, u64)>,
    /// On the run's device, if that is a GPU of whose memory libtorch can tell.
    pub device: Option<DeviceMemory>,
}

impl MemoryInUse {
    /// As it is now.
    pub fn now(device: Device) -> Self {
        let device = device_memory(device).ok();
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let process = status.and_then(|text| Some((kib(&text, "VmRSS:")?, kib(&text, "VmHWM:")?)));
        Self { process, device }
    }
}

/// A line of `/proc/self/status`, in bytes. The kernel brings the peak up to date later than what is resident.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

impl Default for MemoryUse {
    fn default() -> Self {
        Self { seconds: 10.0, rows: Rows::default(), told: None }
    }
}

impl MemoryUse {
    /// Every 10 seconds and at each loader's end.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many seconds lie between two rows in the middle of a loader (default 10).
    #[must_use]
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    fn tell(&mut self, cx: &mut Context) {
        self.told = Some(Instant::now());
        let memory = MemoryInUse::now(cx.device());
        let device = |DeviceMemory { allocated, reserved, peak }: DeviceMemory| timing::DeviceMemory {
            allocated,
            reserved,
            peak,
        };
        let row = timing::MemoryRow {
            resident: memory.process.map(|(resident, _)| resident),
            peak: memory.process.map(|(_, peak)| peak),
            device: memory.device.map(device),
            ..Default::default()
        };
        self.rows.add(cx, TimingRow { memory: Some(row), ..TimingRow::default() });
        cx.ext.insert(memory);
    }
}

impl Callback for MemoryUse {
    fn about(&self) -> About {
        About::new::<Self>(Phase::Report, [Event::BatchEnd, Event::LoaderEnd]).looks().logs_nothing()
    }

    fn state(&self) -> State {
        State::none()
    }

    fn check(&self) -> Result<()> {
        match Duration::try_from_secs_f64(self.seconds) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("`seconds` is {}, but must be a length of time", self.seconds).into()),
        }
    }

    fn on_batch_end(&mut self, cx: &mut Context) -> Result<Flow> {
        let is_due = self.told.is_none_or(|told| told.elapsed().as_secs_f64() >= self.seconds);
        if is_due {
            self.tell(cx);
        }
        Ok(Flow::GO)
    }

    fn on_loader_end(&mut self, cx: &mut Context) -> Result<Flow> {
        self.tell(cx);
        Ok(Flow::GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read_and_others_are_not_taken_for_them() {
        let status = "Name:\tVmRSS: 7 kB\nVmHWM:\t  530216 kB\nVmRSS:\t  512180 kB\nVmSwap:\t many kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(512_180 * 1024));
        assert_eq!(kib(status, "VmHWM:"), Some(530_216 * 1024));
        assert_eq!(kib(status, "VmSwap:"), None);
        assert_eq!(kib(status, "VmPeak:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_taken_is_seen() {
        let before = MemoryInUse::now(Device::Cpu).process.unwrap().0;
        let taken = std::hint::black_box(vec![1u8; 256 << 20]);
        let (resident, peak) = MemoryInUse::now(Device::Cpu).process.unwrap();
        assert!(resident >= before + (200 << 20), "{before} before, {resident} with {} more", taken.len());
        assert!(peak >= before + (200 << 20));
    }

    #[test]
    fn the_memory_of_a_device_is_that_of_a_gpu() {
        assert_eq!(MemoryInUse::now(Device::Cpu).device, None);
        assert_eq!(
            MemoryInUse::now(Device::Cuda(0)).device.is_some(),
            catena_tensor::tch::Cuda::is_available()
        );
    }
}
