//! Whether a tensor's values survive another dtype.
use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// An error if a value can't be had in the dtype `to`: a finite one that would be infinite there; and where `to` has whole numbers
/// only, one that would be another number. Floats that are only rounded are taken. `name` is the tensor's.
pub(crate) fn check(name: &str, tensor: &Tensor, to: Kind) -> Result<()> {
    let from = tensor.f_kind()?;
    if from == to || tensor.numel() == 0 {
        return Ok(());
    }
    let converted = tensor.f_to_kind(to)?;
    let is_lost = if is_float(to) {
        tensor.f_isfinite()?.f_logical_and(&converted.f_isfinite()?.f_logical_not()?)?
    } else {
        // a whole number comes back the same; two roundings of a large one may meet, so it has to be in range too
        let back = converted.f_to_kind(from)?.f_ne_tensor(tensor)?;
        if is_float(from) { back.f_logical_or(&tensor.f_ge(most(to))?)? } else { back }
    };
    let lost = is_lost.f_nonzero()?;
    if lost.size()[0] == 0 {
        return Ok(());
    }
    let index: Vec<i64> = lost.f_get(0)?.try_into()?;
    let value = if is_float(from) {
        format!("{:?}", tensor.f_to_kind(Kind::Double)?.f_double_value(&index)?)
    } else {
        tensor.f_to_kind(Kind::Int64)?.f_int64_value(&index)?.to_string()
    };
    Err(Error::Init(format!(
        "`{name}` can't be loaded: its value {value} at {index:?} is of dtype {from:?} and is no {to:?}, which the model has; {} such \
         in all. Give the model's variable a dtype that has them, or change the weights",
        lost.size()[0]
    )))
}

fn is_float(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

/// The first whole number in floats that is too large for the dtype.
fn most(kind: Kind) -> f64 {
    match kind {
        Kind::Bool => 2.0,
        Kind::Uint8 => 256.0,
        Kind::Int8 => 128.0,
        Kind::Int16 => 32768.0,
        Kind::Int => 2_147_483_648.0,
        _ => 9_223_372_036_854_775_808.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(tensor: &Tensor, to: Kind) -> Option<String> {
        check("fc.weight", tensor, to).err().map(|error| error.to_string())
    }

    #[test]
    fn a_value_that_the_other_dtype_has_not_is_named_with_its_place() {
        let wide = Tensor::from_slice(&[1.0, 2.0, 3.0, 1e300]).view([2, 2]);
        assert_eq!(
            lost(&wide, Kind::Float).unwrap(),
            "`fc.weight` can't be loaded: its value 1e300 at [1, 1] is of dtype Double and is no Float, which the model has; 1 such in \
             all. Give the model's variable a dtype that has them, or change the weights"
        );
        let single = Tensor::from_slice(&[-70000f32, 65504.0]);
        assert!(lost(&single, Kind::Half).unwrap().contains("its value -70000.0 at [0] is of dtype Float"));
        assert_eq!(lost(&single, Kind::BFloat16), None);
        let whole = Tensor::from_slice(&[0, i64::from(i32::MAX), i64::from(i32::MAX) + 1, i64::MIN]);
        let text = lost(&whole, Kind::Int).unwrap();
        assert!(text.contains("its value 2147483648 at [2]") && text.contains("2 such"), "{text}");
        assert!(lost(&Tensor::from(-1i64), Kind::Uint8).is_some());
        assert!(lost(&Tensor::from(3i64), Kind::Bool).is_some());
        assert!(lost(&Tensor::from(70000i64), Kind::Half).is_some());
        for no_whole in [0.5, f64::NAN, f64::INFINITY, 9.3e18, -1e300] {
            assert!(lost(&Tensor::from(no_whole), Kind::Int64).is_some(), "{no_whole}");
        }
    }

    #[test]
    fn what_is_only_rounded_or_was_never_finite_is_taken() {
        let odd = Tensor::from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, 1e-300, 3e38]);
        assert_eq!(lost(&odd, Kind::Float), None);
        assert_eq!(lost(&Tensor::from_slice(&[-3.0, 0.0, 1e15]), Kind::Int64), None);
        assert_eq!(lost(&Tensor::from_slice(&[i64::MAX]), Kind::Float), None);
        assert_eq!(lost(&Tensor::from_slice(&[0i64, 1]), Kind::Bool), None);
        assert_eq!(lost(&Tensor::zeros([0, 2], (Kind::Double, tch::Device::Cpu)), Kind::Half), None);
    }
}
