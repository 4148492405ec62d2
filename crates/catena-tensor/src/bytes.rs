//! Tensors as bytes, and back: how they come to and from a file.
use std::ops::Range;

use catena_native::tensor::from_bytes;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

const DTYPES: [(Kind, &str); 10] = [
    (Kind::Bool, "BOOL"),
    (Kind::Uint8, "U8"),
    (Kind::Int8, "I8"),
    (Kind::Int16, "I16"),
    (Kind::Int, "I32"),
    (Kind::Int64, "I64"),
    (Kind::Half, "F16"),
    (Kind::BFloat16, "BF16"),
    (Kind::Float, "F32"),
    (Kind::Double, "F64"),
];

/// What safetensors calls a dtype. Complex and quantized ones have no name there and are an error.
pub fn dtype_name(kind: Kind) -> Result<&'static str> {
    let found = DTYPES.iter().find(|(own, _)| *own == kind).map(|(_, name)| *name);
    found.ok_or_else(|| Error::Dtype(format!("{kind:?}")))
}

/// How many bytes a tensor's elements have.
pub fn len(tensor: &Tensor) -> Result<usize> {
    Ok(tensor.numel() * tensor.f_kind()?.elt_size_in_bytes())
}

/// Copies a tensor's elements, in row-major order, into memory of just [`len`] bytes.
pub fn copy_into(tensor: &Tensor, bytes: &mut [u8]) -> Result<()> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    Ok(tensor.f_copy_data_u8(bytes, tensor.numel())?)
}

/// A tensor on the CPU that takes over memory with its elements in row-major order, without a copy.
///
/// ```
/// use catena_tensor::bytes;
/// use tch::{Kind, Tensor};
///
/// let tensor = bytes::take_over(vec![0, 0, 128, 63, 0, 0, 0, 64], Kind::Float, &[2, 1])?;
/// assert_eq!(tensor, Tensor::from_slice(&[1f32, 2.0]).view([2, 1]));
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn take_over(bytes: Vec<u8>, kind: Kind, shape: &[i64]) -> Result<Tensor> {
    if bytes.is_empty() {
        return Ok(Tensor::f_zeros(shape, (kind, Device::Cpu))?);
    }
    Ok(from_bytes(bytes)?.f_view_dtype(kind)?.f_view(shape)?)
}

/// A file's bytes, to be read as tensors without a copy.
///
/// ```
/// use catena_tensor::bytes::{self, Bytes};
/// use tch::Tensor;
///
/// let tensor = Tensor::from_slice(&[0.5f32, -1.0]);
/// let mut memory = vec![0; bytes::len(&tensor)?];
/// bytes::copy_into(&tensor, &mut memory)?;
/// let bytes = Bytes::new(memory)?;
/// assert_eq!(bytes.tensor(bytes::dtype_name(tensor.kind())?, &[2], 0..8)?, tensor);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Bytes(Tensor);

impl Bytes {
    /// Takes the memory over.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        Ok(Self(from_bytes(bytes)?))
    }

    /// The tensor on the CPU whose elements are in this range. It shares the memory with all others, and keeps it; to autograd they
    /// are views of one tensor. So this is to copy from: [`Tensor::f_detach_copy`] gives one of its own.
    pub fn tensor(&self, dtype: &str, shape: &[i64], range: Range<usize>) -> Result<Tensor> {
        let kind = DTYPES.iter().find(|(_, name)| *name == dtype).map(|(kind, _)| *kind);
        let kind = kind.ok_or_else(|| Error::Dtype(dtype.to_owned()))?;
        let bytes = self.0.f_narrow(0, range.start as i64, range.len() as i64)?;
        // elements that are not aligned can't be looked at where they are
        let is_aligned = range.start.is_multiple_of(kind.elt_size_in_bytes());
        let bytes = if is_aligned { bytes } else { bytes.f_detach_copy()? };
        Ok(bytes.f_view_dtype(kind)?.f_view(shape)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_read_wherever_their_bytes_are() {
        let bytes = Bytes::new(vec![7, 0, 0, 128, 63, 1, 0]).unwrap();
        assert_eq!(bytes.tensor("F32", &[], 1..5).unwrap(), Tensor::from(1f32));
        assert_eq!(bytes.tensor("BOOL", &[2], 5..7).unwrap(), Tensor::from_slice(&[true, false]));
        assert_eq!(bytes.tensor("I64", &[2, 0], 3..3).unwrap().size(), [2, 0]);
    }

    #[test]
    fn what_is_not_there_and_what_does_not_fit_is_an_error() {
        let bytes = Bytes::new(vec![0; 8]).unwrap();
        assert!(bytes.tensor("F32", &[2], 4..12).is_err());
        assert!(bytes.tensor("F32", &[3], 0..8).is_err());
        assert!(matches!(bytes.tensor("C64", &[1], 0..8), Err(Error::Dtype(_))));
    }
}
