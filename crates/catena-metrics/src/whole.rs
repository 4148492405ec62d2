//! Labels, ids and flags: whole numbers of any dtype, looked at on the device and never rounded.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::memory::Memory;

/// Numbers that must be whole, and which of them are allowed.
///
/// What is not allowed is noted on the device, with its row, by [`Whole::read`]; [`Whole::check`] makes an error of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// What one of them is called, and the name of what is kept of them.
    pub(crate) name: &'static str,
    /// The lowest allowed.
    pub(crate) low: i64,
    /// The highest allowed.
    pub(crate) high: i64,
}

impl Whole {
    /// Labels of so many classes.
    pub(crate) fn labels(classes: i64) -> Self {
        Self { name: "label", low: 0, high: classes - 1 }
    }

    /// The numbers of `of` (as [`wide`] gives it) where `counts`, as i64; what is not allowed is noted, and that and what does
    /// not count is replaced by a number that is allowed. The first dimension is rows.
    pub(crate) fn read(&self, of: &Tensor, counts: &Tensor, memory: &mut Memory) -> Result<Tensor> {
        let other = self.low.max(0).min(self.high);
        let mut fine: Option<Tensor> = None;
        let mut and = |next: Tensor| -> Result<()> {
            fine = Some(match &fine {
                Some(fine) => fine.f_logical_and(&next)?,
                None => next,
            });
            Ok(())
        };
        if of.is_floating_point() {
            // a NaN is not equal to itself; the bound above is the first float that is too large
            and(of.f_trunc()?.f_eq_tensor(of)?)?;
            and(of.f_ge(self.low as f64)?)?;
            and(of.f_lt(self.high as f64 + 1.0)?)?;
        } else {
            if self.low != i64::MIN {
                and(of.f_ge(self.low)?)?;
            }
            if self.high != i64::MAX {
                and(of.f_le(self.high)?)?;
            }
        }
        let counts = match fine {
            Some(fine) => {
                memory.note_first(self.name, &counts.f_logical_and(&fine.f_logical_not()?)?, of)?;
                counts.f_logical_and(&fine)?
            }
            None => counts.shallow_clone(),
        };
        Ok(of.f_where_self(&counts, &of.f_full_like(other)?)?.f_to_kind(Kind::Int64)?)
    }

    /// An error that names the first number that is not allowed, if one was noted. `range` says what would be.
    pub(crate) fn check(&self, memory: &Memory, range: impl FnOnce(f64) -> String) -> Result<()> {
        let Some((row, value)) = memory.first(self.name)? else { return Ok(()) };
        let why = if value.is_nan() || value.trunc() != value {
            format!("is no whole number, and none is made of it{}", self.hint())
        } else {
            format!("is out of range: {}", range(value))
        };
        Err(Error::InRow { what: self.name.into(), value, row, why })
    }

    fn hint(&self) -> &'static str {
        match self.name {
            "label" => "; targets that are probabilities are for `LogLoss` with `.soft_targets()`",
            _ => "",
        }
    }
}

/// Numbers of any dtype in one that holds them all: i64, or f64 if they are floats.
pub(crate) fn wide(of: &Tensor, what: &str) -> Result<Tensor> {
    let kind = of.f_kind()?;
    if matches!(kind, Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble) {
        let why = format!("numbers must be real, but these are {kind:?}");
        return Err(Error::Settings { of: what.into(), why });
    }
    Ok(of.f_detach()?.f_to_kind(if of.is_floating_point() { Kind::Double } else { Kind::Int64 })?)
}
