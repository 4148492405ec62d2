//! Devices by name, checked before anything runs on them.
use tch::{Cuda, Device};

use crate::error::{Error, Result};

/// The device of a name: `cpu`, `cuda` (the first GPU) or `cuda:N`. A GPU that isn't there is an error that says why.
///
/// ```
/// use catena_tensor::device;
///
/// assert_eq!(device::parse("cpu")?, tch::Device::Cpu);
/// assert!(device::parse("gpu").unwrap_err().to_string().contains("cpu, cuda or cuda:N"));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn parse(name: &str) -> Result<Device> {
    let error = |why: String| Error::Device { device: name.to_owned(), why };
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        _ => match name.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(index) => index,
            None => return Err(error("unknown; give cpu, cuda or cuda:N".into())),
        },
    };
    if !Cuda::is_available() {
        return Err(error(
            "no GPU can be used here: none is present, or this libtorch was built for the CPU only".into(),
        ));
    }
    let count = Cuda::device_count() as usize;
    if index >= count {
        return Err(error(format!("there are {count} GPUs, numbered from 0")));
    }
    Ok(Device::Cuda(index))
}

/// The first GPU if there is one, else the CPU.
pub fn best() -> Device {
    Device::cuda_if_available()
}

/// `cpu`, `cuda:0`, …
pub fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
