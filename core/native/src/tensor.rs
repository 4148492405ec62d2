//! Single-tensor calls that [`tch`] lacks.
use std::ffi::c_int;

use tch::Tensor;

use crate::error::{Result, check};
use crate::ffi::{self, CTensor};

pub(crate) fn pointer(tensor: &Tensor) -> CTensor {
    tensor.as_ptr().cast_mut()
}

/// Takes over the tensor that the shim hands out.
pub(crate) fn owned(call: impl FnOnce(*mut CTensor) -> c_int) -> Result<Tensor> {
    let mut raw: CTensor = std::ptr::null_mut();
    check(call(&mut raw))?;
    // SAFETY: a call that succeeded filled `raw` with a new handle, and nobody else holds it.
    Ok(unsafe { Tensor::from_ptr(raw.cast()) })
}

/// Copies `source` into `destination`; with `non_blocking`, and pinned memory on one side, without waiting for the device.
pub fn copy_(destination: &Tensor, source: &Tensor, non_blocking: bool) -> Result<()> {
    // SAFETY: both are live tensors.
    check(unsafe { ffi::catena_copy(pointer(destination), pointer(source), non_blocking.into()) })
}

/// Sets the tensor's `.grad`, or clears it. Shape, dtype and device must be the tensor's own.
pub fn set_grad(tensor: &Tensor, grad: Option<&Tensor>) -> Result<()> {
    let grad = grad.map_or(std::ptr::null_mut(), pointer);
    // SAFETY: live tensors, or null for "none".
    check(unsafe { ffi::catena_set_grad(pointer(tensor), grad) })
}

/// A number that two handles share exactly when they are handles of one tensor.
///
/// A tensor's data pointer can't tell: empty tensors have none, and views share it.
pub fn identity(tensor: &Tensor) -> usize {
    // SAFETY: a live tensor; the shim only reads its address.
    unsafe { ffi::catena_identity(pointer(tensor)) }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_gradient_of_another_shape_is_refused_in_words() {
        let t = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let error = set_grad(&t, Some(&Tensor::zeros([3], (Kind::Float, Device::Cpu)))).unwrap_err();
        assert_eq!(error.to_string(), "a gradient of shape [3] for a tensor of shape [2, 3]");
    }

    #[test]
    fn identity_tells_handles_of_one_tensor_from_views_and_from_empty_tensors() {
        let t = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        assert_eq!(identity(&t), identity(&t.shallow_clone()));
        assert_ne!(identity(&t), identity(&t.view([2])));
        let empty = || Tensor::zeros([0], (Kind::Float, Device::Cpu));
        assert_ne!(identity(&empty()), identity(&t));
    }

    #[test]
    fn copying_fills_the_destination() {
        let to = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        copy_(&to, &Tensor::from_slice(&[1f32, 2.0]), true).unwrap();
        assert_eq!(Vec::<f32>::try_from(&to).unwrap(), [1.0, 2.0]);
    }
}
