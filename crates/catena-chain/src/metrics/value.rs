//! Values to log: numbers, and tensors that are read later.
use catena_tensor::native::observe::note_read;
use catena_tensor::native::tensor::number;
use catena_tensor::tch::{Device, Kind, Tensor};

use crate::error::Result;

/// A value to log: a number, or a tensor of one element that is read later.
///
/// What is logged is what the tensor holds at that moment; it may be changed in place afterwards ([`Value::own`]).
#[derive(Debug)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A tensor of one element, on any device.
    Tensor(Tensor),
    /// The number that a tensor in the CPU's memory held when it was logged. Reading it counts as a read of the host's where those are
    /// counted (`SyncAudit`), as it would on a device.
    Held(f64),
}

impl Value {
    /// The same value, with nothing of it shared with anybody: a tensor in the CPU's memory becomes its number, one on a device is
    /// copied there. Nothing waits.
    ///
    /// ```
    /// use catena_chain::{Value, read_values};
    /// use catena_chain::tensor::tch::Tensor;
    ///
    /// let mut loss = Tensor::from(2.0);
    /// let logged = Value::from(&loss).own()?;
    /// let _ = loss.zero_();
    /// let mut numbers = Vec::new();
    /// read_values([&logged], &mut numbers)?;
    /// assert_eq!(numbers, [2.0]);
    /// # Ok::<(), catena_chain::BoxError>(())
    /// ```
    pub fn own(self) -> Result<Self> {
        let Self::Tensor(tensor) = self else { return Ok(self) };
        Ok(match number(&tensor)? {
            Some(number) => Self::Held(number),
            None => Self::Tensor(tensor.f_detach_copy()?),
        })
    }

    /// The number. Waits for the device.
    pub fn read(&self) -> Result<f64> {
        let mut number = Vec::with_capacity(1);
        read_values([self], &mut number)?;
        number.first().copied().ok_or_else(|| "a value can't be read".into())
    }

    /// Another handle of it.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Number(number) => Self::Number(*number),
            Self::Tensor(tensor) => tensor.into(),
            Self::Held(number) => Self::Held(*number),
        }
    }
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
        match number(tensor) {
            Ok(Some(number)) => Self::Held(number),
            _ => Self::Tensor(tensor.shallow_clone()),
        }
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
            Value::Held(number) => {
                note_read();
                *number
            }
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
