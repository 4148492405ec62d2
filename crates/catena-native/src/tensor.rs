//! Single-tensor calls that [`tch`] lacks.
use std::ffi::{c_int, c_void};
use std::ops::Range;

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

/// A tensor of bytes on the CPU that takes over the vector's memory, without a copy.
pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Tensor> {
    unsafe extern "C" fn free(owner: *mut c_void) {
        // SAFETY: what `into_raw` gave; libtorch calls this once, when the last tensor on this memory is gone.
        drop(unsafe { Box::from_raw(owner.cast::<Vec<u8>>()) });
    }
    let (data, n) = (bytes.as_mut_ptr(), bytes.len());
    let owner = Box::into_raw(Box::new(bytes)).cast();
    // SAFETY: the vector's memory stays where it is until `free`, and nobody but the tensor has it.
    owned(|raw| unsafe { ffi::catena_from_bytes(data, n, owner, free, raw) })
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

/// The addresses of a tensor's elements, if it has any and nothing else lies between them. Tensors whose ranges meet share
/// memory: what is written into one is read from the other.
pub fn memory(tensor: &Tensor) -> Result<Option<Range<usize>>> {
    let (mut begin, mut end) = (0, 0);
    // SAFETY: a live tensor, and two numbers of ours to fill.
    check(unsafe { ffi::catena_memory(pointer(tensor), &mut begin, &mut end) })?;
    Ok((begin < end).then_some(begin..end))
}

/// The number that a tensor of one f32 or f64 in the CPU's memory holds; none for any other tensor. It is read straight from memory: no operation of libtorch's
/// is dispatched.
pub fn number(tensor: &Tensor) -> Result<Option<f64>> {
    let (mut number, mut is_number) = (0.0, 0);
    // SAFETY: a live tensor, and two numbers of ours to fill.
    check(unsafe { ffi::catena_number(pointer(tensor), &mut number, &mut is_number) })?;
    Ok((is_number != 0).then_some(number))
}

/// The first of a tensor's sizes; none for a tensor without dimensions.
pub fn rows(tensor: &Tensor) -> Option<i64> {
    // SAFETY: a live tensor; the shim only reads its sizes.
    let rows = unsafe { ffi::catena_rows(pointer(tensor)) };
    (rows >= 0).then_some(rows)
}

/// Whether these are floating logits `[n, classes, …]` and labels `[n, …]` of dtype Int64, as a cross entropy takes them.
pub fn labels_fit(logits: &Tensor, labels: &Tensor) -> bool {
    // SAFETY: live tensors; the shim only reads their sizes and dtypes.
    unsafe { ffi::catena_labels_fit(pointer(logits), pointer(labels)) != 0 }
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
    fn a_number_is_read_where_it_is_and_nothing_else_is_one() {
        assert_eq!(number(&Tensor::from(0.5f32)).unwrap(), Some(0.5));
        assert_eq!(number(&Tensor::from_slice(&[-2.0f64])).unwrap(), Some(-2.0));
        let all = Tensor::from_slice(&[1f32, 2.0, 3.0]);
        assert_eq!(number(&all.narrow(0, 1, 1)).unwrap(), Some(2.0));
        let half = Tensor::from(1f32).to_kind(Kind::BFloat16);
        for other in
            [all, Tensor::from(1i64), half, Tensor::zeros([0], (Kind::Float, Device::Cpu)), Tensor::new()]
        {
            assert_eq!(number(&other).unwrap(), None, "{other:?}");
        }
    }

    #[test]
    fn rows_and_labels_are_told_by_sizes_and_dtypes() {
        let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, Device::Cpu));
        let logits = zeros(&[3, 5], Kind::Float);
        assert_eq!(
            (rows(&logits), rows(&Tensor::from(1f32)), rows(&zeros(&[0, 2], Kind::Float))),
            (Some(3), None, Some(0))
        );
        assert!(labels_fit(&logits, &zeros(&[3], Kind::Int64)));
        assert!(labels_fit(&zeros(&[3, 5, 7, 2], Kind::Double), &zeros(&[3, 7, 2], Kind::Int64)));
        for (size, kind) in
            [(vec![3], Kind::Int), (vec![5], Kind::Int64), (vec![3, 5], Kind::Int64), (vec![], Kind::Int64)]
        {
            assert!(!labels_fit(&logits, &zeros(&size, kind)), "{size:?}");
        }
        assert!(!labels_fit(&zeros(&[3, 5, 2], Kind::Float), &zeros(&[3, 3], Kind::Int64)));
        assert!(!labels_fit(&zeros(&[3, 5], Kind::Int64), &zeros(&[3], Kind::Int64)));
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
    fn memory_is_where_the_elements_are() {
        let t = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let whole = memory(&t).unwrap().unwrap();
        assert_eq!(whole.len(), 24);
        assert_eq!(memory(&t.tr()).unwrap(), Some(whole.clone()));
        assert_eq!(memory(&t.narrow(0, 1, 1)).unwrap(), Some(whole.start + 12..whole.end));
        assert_eq!(memory(&t.narrow(1, 1, 1)).unwrap(), None, "it has holes");
        assert_eq!(memory(&Tensor::zeros([0], (Kind::Float, Device::Cpu))).unwrap(), None);
        assert_eq!(memory(&t.to_sparse_sparse_dim(1)).unwrap(), None);
    }

    #[test]
    fn bytes_become_a_tensor_where_they_are_and_live_as_long_as_a_view() {
        let bytes = vec![1u8, 2, 3, 4];
        let memory = bytes.as_ptr();
        let tensor = from_bytes(bytes).unwrap();
        assert_eq!(tensor.data_ptr().cast_const().cast(), memory);
        let view = tensor.narrow(0, 1, 2);
        drop(tensor);
        assert_eq!(Vec::<u8>::try_from(view).unwrap(), [2, 3]);
        assert_eq!(from_bytes(Vec::new()).unwrap().size(), [0]);
    }

    #[test]
    fn copying_fills_the_destination() {
        let to = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        copy_(&to, &Tensor::from_slice(&[1f32, 2.0]), true).unwrap();
        assert_eq!(Vec::<f32>::try_from(&to).unwrap(), [1.0, 2.0]);
    }
}
