//! Values to log: numbers, and tensors that are read later.
use catena_tensor::tch::{Device, Kind, Tensor};

use crate::Result;

/// A value to log: a number, or a tensor of one element that is read later.
///
/// A tensor is kept as it is, without a copy: do not change it in place after logging it.
#[derive(Debug)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A tensor of one element, on any device.
    Tensor(Tensor),
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<&Tensor> for Value {
    fn from(tensor: &Tensor) -> Self {
        Self::Tensor(tensor.shallow_clone())
    }
}

/// Reads many values into `numbers`, in their order: one copy a device and dtype, however many there are.
///
/// ```
/// use catena_chain::{Value, read_values};
/// use catena_chain::tensor::tch::Tensor;
///
/// let values = [Value::from(0.5), Value::from(Tensor::from(2.0f32))];
/// let mut numbers = Vec::new();
/// read_values(&values, &mut numbers)?;
/// assert_eq!(numbers, [0.5, 2.0]);
/// # Ok::<(), catena_chain::BoxError>(())
/// ```
pub fn read_values<'a>(values: impl IntoIterator<Item = &'a Value>, numbers: &mut Vec<f64>) -> Result<()> {
    numbers.clear();
    let mut elsewhere: Vec<Elsewhere<'a>> = Vec::new();
    for (i, value) in values.into_iter().enumerate() {
        numbers.push(match value {
            Value::Number(number) => *number,
            Value::Tensor(tensor) if tensor.device() == Device::Cpu => tensor.f_double_value(&[])?,
            Value::Tensor(tensor) => {
                let (device, kind) = (tensor.device(), tensor.f_kind()?);
                match elsewhere.iter_mut().find(|e| e.device == device && e.kind == kind) {
                    Some(other) => other.tensors.push((i, tensor)),
                    None => elsewhere.push(Elsewhere { device, kind, tensors: vec![(i, tensor)] }),
                }
                f64::NAN
            }
        });
    }
    for Elsewhere { tensors, .. } in elsewhere {
        let scalars = tensors.iter().map(|(_, tensor)| tensor.f_reshape([0i64; 0]));
        let stacked = Tensor::f_stack(&scalars.collect::<std::result::Result<Vec<_>, _>>()?, 0)?;
        let read: Vec<f64> = stacked.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.try_into()?;
        for ((i, _), number) in tensors.iter().zip(read) {
            numbers[*i] = number;
        }
    }
    Ok(())
}

/// Values of one device and dtype, with their places.
struct Elsewhere<'a> {
    device: Device,
    kind: Kind,
    tensors: Vec<(usize, &'a Tensor)>,
}
