//! Numbers that a device has computed, brought to the host.
use catena_tensor::Result;
use catena_tensor::tch::{Device, Kind, Tensor};

/// A tensor's numbers in one row.
pub(crate) fn host(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?.f_reshape([-1i64])?;
    Ok(flat.f_contiguous()?.try_into()?)
}
