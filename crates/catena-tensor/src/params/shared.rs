//! Tensors with several names, and tensors over one memory.
use std::collections::HashMap;

use catena_native::tensor::{identity, memory};
use tch::Tensor;
use tch::nn::VarStore;

use crate::bytes::dtype_name;
use crate::error::{Error, Result};
use crate::hash;

/// The names of each tensor, sorted, by its identity.
pub(super) fn names(named: &HashMap<String, Tensor>) -> HashMap<usize, Vec<String>> {
    let mut all: HashMap<usize, Vec<String>> = HashMap::new();
    for (name, tensor) in named {
        all.entry(identity(tensor)).or_default().push(name.clone());
    }
    all.values_mut().for_each(|names| names.sort_unstable());
    all
}

/// The names of each tensor that has several, sorted.
///
/// ```
/// use catena_tensor::params::shared;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let w = vs.root().ones("embed", &[4]);
/// let _ = vs.root().ones("bias", &[4]);
/// let _ = vs.root().add("decode", w.shallow_clone(), true);
/// assert_eq!(shared(&vs), [["decode", "embed"]]);
/// ```
pub fn shared(vs: &VarStore) -> Vec<Vec<String>> {
    let mut several: Vec<Vec<String>> =
        names(&vs.variables()).into_values().filter(|names| names.len() > 1).collect();
    several.sort_unstable();
    several
}

/// Refuses values of which two are for one of the model's tensors, by two of its names, and differ. Names that the model doesn't
/// have, or that have no value, are passed over.
///
/// ```
/// use catena_tensor::params::check_values;
/// use tch::{Device, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let w = vs.root().ones("embed", &[1]);
/// let _ = vs.root().add("decode", w.shallow_clone(), true);
/// let values = |decode: f32| [("embed".to_owned(), Tensor::from_slice(&[2f32])), ("decode".to_owned(), Tensor::from_slice(&[decode]))];
/// assert!(check_values(&vs, &values(2.0)).is_ok());
/// assert_eq!(
///     check_values(&vs, &values(3.0)).unwrap_err().to_string(),
///     "`decode` and `embed` are names of one tensor, but they come with different values; give both the same values, or leave one \
///      out",
/// );
/// # Ok::<(), catena_tensor::Error>(())
/// ```
pub fn check_values(vs: &VarStore, values: &[(String, Tensor)]) -> Result<()> {
    for names in shared(vs) {
        let mut given = names.iter().filter_map(|name| values.iter().find(|(own, _)| own == name));
        let Some((first, value)) = given.next() else { continue };
        for (name, other) in given {
            if !same(value, other)? {
                let why =
                    "they come with different values; give both the same values, or leave one out".into();
                return Err(Error::SharedNames { names: [first.clone(), name.clone()], why });
            }
        }
    }
    Ok(())
}

/// Whether two tensors have the same numbers, bit by bit; one of another dtype is compared as the first one's.
fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    let b = b.f_to_kind(a.f_kind()?)?;
    Ok(a.size() == b.size() && hash::bytes(a)? == hash::bytes(&b)?)
}

/// Refuses two different tensors over the same memory, such as `w` and `w.tr()`: each would be stepped, averaged and loaded for
/// itself, and be changed by the other. One tensor that comes twice is fine.
///
/// Tensors with holes in their memory (columns of a matrix) are passed over.
///
/// ```
/// use catena_tensor::params::{check_memory, variables};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let w = vs.root().ones("embed", &[4, 2]);
/// let _ = vs.root().add("head", w.detach().tr(), false);
/// let all = variables(&vs);
/// let text = check_memory(all.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap_err().to_string();
/// assert!(text.starts_with("`embed` and `head` are two tensors over the same memory"), "{text}");
/// ```
pub fn check_memory<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
    let mut ranges = Vec::new();
    for (name, tensor) in tensors {
        if let Some(range) = memory(tensor)? {
            ranges.push((range.start, range.end, name, identity(tensor)));
        }
    }
    ranges.sort_unstable();
    let (mut end, mut last) = (0, None);
    for &(start, its_end, name, of) in &ranges {
        match last {
            Some((other, its)) if start < end && its != of => {
                let mut names = [String::from(other), String::from(name)];
                names.sort_unstable();
                return Err(Error::SharedMemory { names });
            }
            _ if its_end > end => (end, last) = (its_end, Some((name, of))),
            _ => {}
        }
    }
    Ok(())
}

/// Whether each tensor can be written to a snapshot and loaded from it: its dtype has a name in safetensors files, and each of its elements has memory of
/// its own (one that was made by `expand` has not).
pub fn check_can_be_saved<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
    for (name, tensor) in tensors {
        let why = match dtype_name(tensor.f_kind()?) {
            Err(error) => error.to_string(),
            Ok(_) if has_shared_elements(tensor) => {
                "some of its elements share memory, as after `expand`; make it `contiguous`".into()
            }
            Ok(_) => continue,
        };
        return Err(Error::Variables(format!(
            "`{name}` can't be saved in a snapshot and loaded again: {why}"
        )));
    }
    Ok(())
}

fn has_shared_elements(tensor: &Tensor) -> bool {
    let mut dims: Vec<(i64, i64)> =
        tensor.stride().into_iter().zip(tensor.size()).filter(|(_, size)| *size > 1).collect();
    dims.sort_unstable();
    // each stride goes beyond all that the smaller ones reach
    let mut reach = 0;
    for (stride, size) in dims {
        if stride <= reach {
            return true;
        }
        reach += stride * (size - 1);
    }
    false
}
