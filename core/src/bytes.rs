//! Tensors as bytes, and back: how they come to and from a file.
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

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

/// A tensor on the CPU from its elements.
///
/// ```
/// use catena_tensor::bytes;
/// use tch::Tensor;
///
/// let tensor = Tensor::from_slice(&[0.5f32, -1.0]);
/// let mut memory = vec![0; bytes::len(&tensor)?];
/// bytes::copy_into(&tensor, &mut memory)?;
/// assert_eq!(bytes::tensor(bytes::dtype_name(tensor.kind())?, &[2], &memory)?, tensor);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn tensor(dtype: &str, shape: &[i64], bytes: &[u8]) -> Result<Tensor> {
    let kind = DTYPES.iter().find(|(_, name)| *name == dtype).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| Error::Dtype(dtype.to_owned()))?;
    Ok(Tensor::f_from_data_size(bytes, shape, kind)?)
}
