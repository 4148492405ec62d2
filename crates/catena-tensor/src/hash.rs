//! SHA-256 over named tensors: two runs ended the same if these agree.
use sha2::{Digest, Sha256};
use tch::{Device, Tensor};

use crate::error::Result;

/// The SHA-256, in hexadecimal, of names, shapes and bytes, in the order of the names.
///
/// For each tensor: the name's length and bytes, the number of dimensions, the dimensions (all lengths as little-endian u64),
/// then the elements' bytes in row-major order.
///
/// ```
/// use tch::Tensor;
///
/// let a = vec![("w".to_owned(), Tensor::from(1.0))];
/// let b = vec![("w".to_owned(), Tensor::from(1.5))];
/// assert_ne!(catena_tensor::hash::sha256(&a)?, catena_tensor::hash::sha256(&b)?);
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn sha256(tensors: &[(String, Tensor)]) -> Result<String> {
    let mut in_order: Vec<&(String, Tensor)> = tensors.iter().collect();
    in_order.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut hash = Sha256::new();
    for (name, tensor) in in_order {
        let size = tensor.size();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((size.len() as u64).to_le_bytes());
        for dimension in size {
            hash.update((dimension as u64).to_le_bytes());
        }
        hash.update(bytes(tensor)?);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A tensor's elements as bytes, in row-major order.
pub fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * tensor.f_kind()?.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
