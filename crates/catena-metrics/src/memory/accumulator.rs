//! One thing that a metric keeps, and how two of its kind become one.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use crate::host::host;
use crate::memory::moments::Moments;

#[derive(Debug)]
pub(crate) enum Accumulator {
    /// A sum, and the rounding errors that it has made.
    Sum {
        high: Tensor,
        low: Tensor,
    },
    Min(Tensor),
    Max(Tensor),
    /// Sums around `shift` `[2, outputs]`: weight, x, y, xx, yy, xy, and the number of items.
    Moments {
        shift: Tensor,
        high: Tensor,
        low: Tensor,
    },
    Rows(Vec<Tensor>),
    /// How many rows were looked at, the first of them in which something was found (infinite if none), and what; f64 `[3]`.
    First(Tensor),
}

impl Accumulator {
    /// The word for it in a state; it stays, so that older snapshots are read.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sum { .. } => "sum",
            Self::Min(_) => "least",
            Self::Max(_) => "most",
            Self::Moments { .. } => "moments",
            Self::Rows(_) => "rows",
            Self::First(_) => "first",
        }
    }

    /// Its parts; many rows become one tensor, which changes no bit.
    pub(crate) fn tensors(&self) -> Vec<(&'static str, Tensor)> {
        let of = |tensor: &Tensor| tensor.shallow_clone();
        match self {
            Self::Sum { high, low } => vec![("high", of(high)), ("low", of(low))],
            Self::Min(value) | Self::Max(value) | Self::First(value) => vec![("value", of(value))],
            Self::Moments { shift, high, low } => {
                vec![("shift", of(shift)), ("high", of(high)), ("low", of(low))]
            }
            // rows of one name fit together, or they would not have been taken in
            Self::Rows(rows) => Tensor::f_cat(rows, 0).map(|rows| vec![("rows", rows)]).unwrap_or_default(),
        }
    }

    pub(crate) fn from_tensors(kind: &str, part: &mut dyn FnMut(&str) -> Result<Tensor>) -> Result<Self> {
        let wrong = |why: String| Error::Settings { of: "a metric's state".into(), why };
        let read = match kind {
            "sum" => Self::Sum { high: part("high")?, low: part("low")? },
            "least" => Self::Min(part("value")?),
            "most" => Self::Max(part("value")?),
            "moments" => Self::Moments { shift: part("shift")?, high: part("high")?, low: part("low")? },
            "rows" => Self::Rows(vec![part("rows")?]),
            "first" => Self::First(part("value")?),
            other => return Err(wrong(format!("no cell is a `{other}`"))),
        };
        match &read {
            Self::Sum { high, low } | Self::Moments { high, low, .. } if high.size() != low.size() => {
                Err(wrong(format!("parts of a {kind} have shapes {:?} and {:?}", high.size(), low.size())))
            }
            Self::Moments { shift, high, .. }
                if high.size().first() != Some(&7) || shift.size() != [&[2], &high.size()[1..]].concat() =>
            {
                Err(wrong(format!("moments can't have shape {:?}", high.size())))
            }
            Self::First(value) if value.size() != [3] => {
                Err(wrong(format!("a first can't have shape {:?}", value.size())))
            }
            _ => Ok(read),
        }
    }

    /// Moments of a batch, around the point that is in use, if one is.
    pub(crate) fn pairs(
        x: &Tensor,
        y: &Tensor,
        weight: &Tensor,
        in_use: Option<(&Tensor, &Tensor)>,
    ) -> Result<Self> {
        let counts = weight.f_ne(0)?;
        let clean = |of: &Tensor| of.f_where_self(&counts, &of.f_zeros_like()?);
        let (x, y) = (clean(x)?, clean(y)?);
        let total = weight.f_sum_dim_intlist(0i64, false, Kind::Double)?;
        let means = Tensor::f_stack(&[weighted(&x, weight)?, weighted(&y, weight)?], 0)?.f_div(&total)?;
        let means = means.f_nan_to_num(0.0, 0.0, 0.0)?;
        let shift = match in_use {
            // while nothing has counted, any point will do
            Some((shift, sums)) => {
                let shift = shift.f_to_device(x.device())?;
                let empty = sums.f_to_device(x.device())?.f_select(0, 0)?.f_eq(0)?;
                means.f_where_self(&empty, &shift)?
            }
            None => means,
        };
        let (dx, dy) = (x.f_sub(&shift.f_select(0, 0)?)?, y.f_sub(&shift.f_select(0, 1)?)?);
        let sums = [
            total,
            weighted(&dx, weight)?,
            weighted(&dy, weight)?,
            weighted(&dx.f_mul(&dx)?, weight)?,
            weighted(&dy.f_mul(&dy)?, weight)?,
            weighted(&dx.f_mul(&dy)?, weight)?,
            counts.f_sum_dim_intlist(0, false, Kind::Double)?,
        ];
        let high = Tensor::f_stack(&sums, 0)?;
        let low = high.f_zeros_like()?;
        Ok(Self::Moments { shift, high, low })
    }

    /// The first row of `found` (bool, its first dimension is rows) that has something, and what `values` has there.
    pub(crate) fn first(found: &Tensor, values: &Tensor) -> Result<Self> {
        let rows = found.size().first().copied().unwrap_or(1);
        let flat = found.f_reshape([-1i64])?;
        // of several largest ones argmax takes the first
        let at = flat.f_to_kind(Kind::Int64)?.f_argmax(0, true)?;
        let value = values.f_reshape([-1i64])?.f_gather(0, &at, false)?.f_to_kind(Kind::Double)?;
        let row = at.f_floor_divide_scalar(flat.numel() as i64 / rows)?.f_to_kind(Kind::Double)?;
        let all = row.f_full_like(rows)?;
        let row = row.f_where_self(&flat.f_any()?, &row.f_full_like(f64::INFINITY)?)?;
        Ok(Self::First(Tensor::f_cat(&[all, row, value], 0)?))
    }

    pub(crate) fn merge(&mut self, other: Self) -> Result<()> {
        let wrong = |why: String| Error::Settings { of: "metric memory".into(), why };
        let kinds = (self.kind(), other.kind());
        match (self, other) {
            (Self::Sum { high, low }, Self::Sum { high: more, low: rest }) => {
                fits(high, &more)?;
                add(high, low, &more, &rest)
            }
            (Self::Min(min), Self::Min(other)) => {
                fits(min, &other)?;
                *min = min.f_to_device(other.device())?.f_minimum(&other)?;
                Ok(())
            }
            (Self::Max(max), Self::Max(other)) => {
                fits(max, &other)?;
                *max = max.f_to_device(other.device())?.f_maximum(&other)?;
                Ok(())
            }
            (Self::Moments { shift, high, low }, Self::Moments { shift: from, high: more, low: rest }) => {
                fits(high, &more)?;
                let here = shift.f_to_device(more.device())?;
                // while nothing has counted here, the other's point is taken
                let empty = high.f_to_device(more.device())?.f_select(0, 0)?.f_eq(0)?;
                *shift = from.f_where_self(&empty, &here)?;
                let (more, rest) = moved(&more, &rest, &from.f_sub(shift)?)?;
                add(high, low, &more, &rest)
            }
            (Self::First(first), Self::First(next)) => {
                let here = first.f_to_device(next.device())?;
                let (rows, row) = (here.f_narrow(0, 0, 1)?, here.f_narrow(0, 1, 1)?);
                // what comes counts its rows from 0; what is infinite stays so
                let shift = Tensor::f_cat(&[&rows, &rows, &rows.f_zeros_like()?], 0)?;
                let next = next.f_add(&shift)?;
                let all = next.f_narrow(0, 0, 1)?;
                let here = Tensor::f_cat(&[all, here.f_narrow(0, 1, 2)?], 0)?;
                *first = here.f_where_self(&row.f_isfinite()?, &next)?;
                Ok(())
            }
            (Self::Rows(rows), Self::Rows(mut more)) => {
                if let (Some(first), Some(next)) = (rows.first(), more.first())
                    && first.size().get(1..) != next.size().get(1..)
                {
                    let (had, has) = (first.size(), next.size());
                    return Err(wrong(format!("it has rows like {had:?}, but what comes is like {has:?}")));
                }
                // restored rows are on the CPU until the first batch comes
                if let Some(next) = more.first() {
                    for row in rows.iter_mut().filter(|row| row.device() != next.device()) {
                        *row = row.f_to_device(next.device())?;
                    }
                }
                rows.append(&mut more);
                Ok(())
            }
            _ => Err(wrong(format!("it is a {}, but what comes is a {}", kinds.0, kinds.1))),
        }
    }

    pub(crate) fn moments(&self) -> Result<Moments> {
        let Self::Moments { shift, high, low } = self else {
            let why = format!("it is a {}, not moments", self.kind());
            return Err(Error::Settings { of: "metric memory".into(), why });
        };
        Ok(Moments::around(&host(shift)?, &host(&high.f_add(low)?)?))
    }
}

fn fits(own: &Tensor, other: &Tensor) -> Result<()> {
    if own.size() == other.size() {
        return Ok(());
    }
    let why = format!("it has shape {:?}, but what comes has {:?}", own.size(), other.size());
    Err(Error::Settings { of: "metric memory".into(), why })
}

/// Knuth's two-sum: the sum's rounding error goes into `low`.
fn add(high: &mut Tensor, low: &mut Tensor, more: &Tensor, rest: &Tensor) -> Result<()> {
    let here = high.f_to_device(more.device())?;
    let sum = here.f_add(more)?;
    let back = sum.f_sub(&here)?;
    let error = here.f_sub(&sum.f_sub(&back)?)?.f_add(&more.f_sub(&back)?)?;
    *low = low.f_to_device(more.device())?.f_add(rest)?.f_add(&error)?;
    *high = sum;
    Ok(())
}

fn weighted(of: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(of.f_mul(weight)?.f_sum_dim_intlist(0i64, false, Kind::Double)?)
}

/// Sums around one point as sums around another, `by` `[2, outputs]` below it.
fn moved(high: &Tensor, low: &Tensor, by: &Tensor) -> Result<(Tensor, Tensor)> {
    let row = |i: i64| high.f_select(0, i);
    let (bx, by) = (by.f_select(0, 0)?, by.f_select(0, 1)?);
    let (w, x, y) = (row(0)?, row(1)?, row(2)?);
    let cross = |a: &Tensor, sa: &Tensor, b: &Tensor, sb: &Tensor| -> Result<Tensor> {
        let straight = a.f_mul(sb)?.f_add(&b.f_mul(sa)?)?;
        Ok(straight.f_add(&w.f_mul(a)?.f_mul(b)?)?)
    };
    let steps = [
        w.f_zeros_like()?,
        w.f_mul(&bx)?,
        w.f_mul(&by)?,
        cross(&bx, &x, &bx, &x)?,
        cross(&by, &y, &by, &y)?,
        cross(&bx, &x, &by, &y)?,
        w.f_zeros_like()?,
    ];
    let (mut high, mut low) = (high.shallow_clone(), low.shallow_clone());
    let steps = Tensor::f_stack(&steps, 0)?;
    add(&mut high, &mut low, &steps, &steps.f_zeros_like()?)?;
    Ok((high, low))
}
