//! Autocast on the CPU and on GPUs, in any half precision; the check of loss scaling.
use std::ffi::c_int;
use std::marker::PhantomData;

use tch::{Device, Kind};

use crate::error::{Error, Result, check};
use crate::ffi;
use crate::list::TensorList;

/// Autocast on one kind of device, for this thread, until it is dropped; then what was before is in force again.
///
/// Source: `torch.autocast`. [`tch::autocast`] acts on GPUs only, and in f16 only.
///
/// ```
/// use catena_native::precision::Autocast;
/// use tch::{Device, Kind, Tensor};
///
/// let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
/// {
///     let _autocast = Autocast::enter(Device::Cpu, Kind::BFloat16)?;
///     assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
/// }
/// assert_eq!(x.matmul(&x).kind(), Kind::Float);
/// # Ok::<(), catena_native::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "autocast ends when this is dropped"]
pub struct Autocast {
    device_type: c_int,
    before: (c_int, c_int),
    // libtorch keeps it by thread
    _not_send: PhantomData<*const ()>,
}

const BFLOAT16: c_int = 15;
const HALF: c_int = 5;

impl Autocast {
    /// From here on, in [`Kind::BFloat16`] or [`Kind::Half`].
    pub fn enter(device: Device, kind: Kind) -> Result<Self> {
        let dtype = match kind {
            Kind::BFloat16 => BFLOAT16,
            Kind::Half => HALF,
            other => {
                return Err(Error::Argument(format!(
                    "autocast computes in BFloat16 or Half, not in {other:?}"
                )));
            }
        };
        let device_type = device_type(device)?;
        let before = in_force(device_type)?;
        // SAFETY: plain numbers.
        check(unsafe { ffi::catena_set_autocast(device_type, 1, dtype, 1) })?;
        Ok(Self { device_type, before, _not_send: PhantomData })
    }

    /// What autocast computes in on this device and thread just now; none where it is off.
    ///
    /// ```
    /// use catena_native::precision::Autocast;
    /// use tch::{Device, Kind};
    ///
    /// assert_eq!(Autocast::current(Device::Cpu)?, None);
    /// let _autocast = Autocast::enter(Device::Cpu, Kind::Half)?;
    /// assert_eq!(Autocast::current(Device::Cpu)?, Some(Kind::Half));
    /// # Ok::<(), catena_native::Error>(())
    /// ```
    pub fn current(device: Device) -> Result<Option<Kind>> {
        Ok(match in_force(device_type(device)?)? {
            (0, _) => None,
            (_, BFLOAT16) => Some(Kind::BFloat16),
            (_, HALF) => Some(Kind::Half),
            (_, other) => {
                return Err(Error::NotImplemented(format!("autocast in the dtype of number {other}")));
            }
        })
    }
}

fn device_type(device: Device) -> Result<c_int> {
    match device {
        Device::Cpu => Ok(0),
        Device::Cuda(_) => Ok(1),
        other => Err(Error::NotImplemented(format!("autocast on {other:?}"))),
    }
}

/// Whether autocast is on, and its dtype.
fn in_force(device_type: c_int) -> Result<(c_int, c_int)> {
    let (mut enabled, mut dtype): (c_int, c_int) = (0, 0);
    // SAFETY: two live integers.
    check(unsafe { ffi::catena_autocast(device_type, &mut enabled, &mut dtype) })?;
    Ok((enabled, dtype))
}

impl Drop for Autocast {
    fn drop(&mut self) {
        let (enabled, dtype) = self.before;
        // SAFETY: plain numbers. What was in force before can be in force again, so this does not fail.
        let _ = unsafe { ffi::catena_set_autocast(self.device_type, enabled, dtype, -1) };
    }
}

impl TensorList {
    /// Multiplies every gradient by `inverse_scale`; gives whether one of them is not finite. Waits for the device.
    ///
    /// Source: `torch.amp.GradScaler.unscale_`.
    pub fn unscale_gradients(&self, inverse_scale: f64) -> Result<bool> {
        let mut found: c_int = 0;
        // SAFETY: a live list and a live integer.
        check(unsafe { ffi::catena_unscale(self.raw(), inverse_scale, &mut found) })?;
        Ok(found != 0)
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::tensor::set_grad;

    fn product() -> Kind {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        x.matmul(&x).kind()
    }

    #[test]
    fn it_nests_and_ends_even_in_a_panic() {
        let outer = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        {
            let _inner = Autocast::enter(Device::Cpu, Kind::Half).unwrap();
            assert_eq!(product(), Kind::Half);
        }
        assert_eq!(product(), Kind::BFloat16);
        drop(outer);
        let caught = std::panic::catch_unwind(|| {
            let _autocast = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
            panic!("in the middle");
        });
        assert!(caught.is_err());
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn it_belongs_to_its_thread() {
        let _autocast = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        assert_eq!(std::thread::spawn(product).join().unwrap(), Kind::Float);
    }

    #[test]
    fn unscaling_divides_and_finds_what_is_not_finite() {
        for kind in [Kind::Float, Kind::Double] {
            let t = Tensor::zeros([2], (kind, Device::Cpu));
            set_grad(&t, Some(&(Tensor::ones([2], (kind, Device::Cpu)) * 8.0))).unwrap();
            let list = TensorList::new(std::slice::from_ref(&t)).unwrap();
            assert!(!list.unscale_gradients(0.25).unwrap());
            assert_eq!(t.grad().double_value(&[1]), 2.0);
            set_grad(&t, Some(&Tensor::full([2], f64::INFINITY, (kind, Device::Cpu)))).unwrap();
            assert!(list.unscale_gradients(0.25).unwrap());
        }
    }
}
