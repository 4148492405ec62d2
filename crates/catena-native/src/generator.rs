//! The state of torch's random generators, one for the CPU and one for each GPU.
//!
//! A generator is one a process: whatever draws from it moves it for everybody.
use std::ffi::c_int;

use tch::{Device, Tensor};

use crate::error::{Error, Result, check};
use crate::ffi;
use crate::tensor::{owned, pointer};

fn place(device: Device) -> Result<(c_int, c_int)> {
    match device {
        Device::Cpu => Ok((0, 0)),
        Device::Cuda(index) => Ok((1, index as c_int)),
        other => Err(Error::NotImplemented(format!("the generator of {other:?} can't be reached"))),
    }
}

/// The generator's state: bytes that only [`set_state`] understands (5056 of them for the CPU).
pub fn state(device: Device) -> Result<Tensor> {
    let (kind, index) = place(device)?;
    // SAFETY: plain numbers in, a tensor of ours out.
    owned(|out| unsafe { ffi::catena_generator_state(kind, index, out) })
}

/// Puts a state back: what is drawn next is what was drawn after [`state`] had given it.
pub fn set_state(device: Device, state: &Tensor) -> Result<()> {
    let (kind, index) = place(device)?;
    // SAFETY: a live tensor; libtorch checks its dtype and size.
    check(unsafe { ffi::catena_set_generator_state(kind, index, pointer(state)) })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn a_state_put_back_draws_the_same_again_a_cached_normal_included() {
        let draw = || Vec::<f64>::try_from(Tensor::randn([3], (Kind::Double, Device::Cpu))).unwrap();
        let _odd = draw();
        let kept = state(Device::Cpu).unwrap();
        let first = draw();
        assert_ne!(draw(), first);
        set_state(Device::Cpu, &kept).unwrap();
        assert_eq!(draw(), first);
    }

    #[test]
    fn a_state_of_the_wrong_size_is_refused() {
        let wrong = Tensor::zeros([3], (Kind::Uint8, Device::Cpu));
        assert!(set_state(Device::Cpu, &wrong).is_err());
    }
}
