//! What stands before the numbers of a `.npy` file.
use std::io::{self, Read};

use crate::Result;
use crate::array::Array;

/// No file of `numpy.save` has a header of more; those of structured dtypes, which are refused, may.
const LONGEST: u32 = 1 << 16;

pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// The header, and where the numbers begin.
    pub(super) fn read(from: &mut impl Read) -> Result<(Self, u64)> {
        let mut magic = [0; 6];
        exactly(from, &mut magic)?;
        if magic != *b"\x93NUMPY" {
            return Err("not a `.npy` file: it does not begin with the format's mark (`.npz` is an archive of such files)".into());
        }
        let mut version = [0; 2];
        exactly(from, &mut version)?;
        let (length, before) = match version[0] {
            1 => {
                let mut length = [0; 2];
                exactly(from, &mut length)?;
                (u32::from(u16::from_le_bytes(length)), 10)
            }
            2 | 3 => {
                let mut length = [0; 4];
                exactly(from, &mut length)?;
                (u32::from_le_bytes(length), 12)
            }
            other => return Err(format!("the format's version {other} is not known; 1 to 3 are").into()),
        };
        if length > LONGEST {
            return Err(format!(
                "the file tells of a header of {length} bytes, which no plain array needs: it is damaged"
            )
            .into());
        }
        let mut text = vec![0; length as usize];
        exactly(from, &mut text)?;
        let text = std::str::from_utf8(&text).map_err(|error| format!("the header is no text: {error}"))?;
        Ok((parse(text)?, before + u64::from(length)))
    }
}

fn exactly(from: &mut impl Read, into: &mut [u8]) -> Result<()> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "not a `.npy` file: it ends within its header".into(),
        _ => error.into(),
    })
}

/// The header is a Python dictionary of three entries, in any order.
fn parse(text: &str) -> Result<Header> {
    let broken = || format!("the header is not one of an array: `{}`", text.trim());
    let mut rest =
        text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(broken)?;
    let (mut dtype, mut order, mut shape) = (None, None, None);
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            break;
        }
        let (key, after) = rest.split_once(':').ok_or_else(broken)?;
        let after = after.trim_start();
        let end = match after.bytes().next().ok_or_else(broken)? {
            b'(' => after.find(')').map(|end| end + 1),
            b'[' => return Err("it holds records of a structured dtype: save each field by itself".into()),
            _ => after.find(',').or(Some(after.len())),
        };
        let (value, after) = after.split_at(end.ok_or_else(broken)?);
        match key.trim().trim_matches(['\'', '"']) {
            "descr" => dtype = Some(Dtype::of(value.trim().trim_matches(['\'', '"']))?),
            "fortran_order" => order = Some(value.trim().to_owned()),
            "shape" => shape = Some(sizes(value)?),
            _ => return Err(broken().into()),
        }
        rest = after;
    }
    let without = |key: &str| format!("the header has no `{key}`: `{}`", text.trim());
    match order.ok_or_else(|| without("fortran_order"))?.as_str() {
        "False" => {}
        "True" => {
            return Err(
                "the numbers are in Fortran order (by columns): save `numpy.ascontiguousarray(array)`".into(),
            );
        }
        _ => return Err(broken().into()),
    }
    Ok(Header {
        dtype: dtype.ok_or_else(|| without("descr"))?,
        shape: shape.ok_or_else(|| without("shape"))?,
    })
}

fn sizes(tuple: &str) -> Result<Vec<u64>> {
    let inner = tuple.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let sizes = inner.map(|inner| inner.split(',').map(str::trim).filter(|size| !size.is_empty()));
    sizes
        .and_then(|sizes| sizes.map(|size| size.parse().ok()).collect())
        .ok_or_else(|| format!("`shape` in the header is no tuple of sizes: `{tuple}`").into())
}

#[derive(Clone, Copy)]
pub(super) enum Dtype {
    F4,
    F8,
    I1,
    I2,
    I4,
    I8,
    U1,
    B1,
}

impl Dtype {
    fn of(descr: &str) -> Result<Self> {
        Ok(match descr {
            "<f4" => Self::F4,
            "<f8" => Self::F8,
            "|i1" | "<i1" => Self::I1,
            "<i2" => Self::I2,
            "<i4" => Self::I4,
            "<i8" => Self::I8,
            "|u1" | "<u1" => Self::U1,
            "|b1" | "<b1" => Self::B1,
            "|O" | "O" => {
                return Err("it holds pickled objects, which are never read: save an array of numbers".into());
            }
            other => {
                return Err(format!(
                    "the dtype `{other}` is not read; `<f4`, `<f8`, `|i1`, `<i2`, `<i4`, `<i8`, `|u1` and `|b1` are: use `array.astype`"
                )
                .into());
            }
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F4 => "f4",
            Self::F8 => "f8",
            Self::I1 => "i1",
            Self::I2 => "i2",
            Self::I4 => "i4",
            Self::I8 => "i8",
            Self::U1 => "u1",
            Self::B1 => "b1",
        }
    }

    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::I1 | Self::U1 | Self::B1 => 1,
            Self::I2 => 2,
            Self::F4 | Self::I4 => 4,
            Self::F8 | Self::I8 => 8,
        }
    }

    pub(super) fn array(self, bytes: Vec<u8>) -> Result<Array> {
        let (twos, fours, eights) =
            (bytes.as_chunks::<2>().0, bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
        Ok(match self {
            Self::F4 => fours.iter().map(|number| f32::from_le_bytes(*number)).collect(),
            Self::F8 => eights.iter().map(|number| f64::from_le_bytes(*number)).collect(),
            Self::I1 => bytes.iter().map(|byte| byte.cast_signed()).collect(),
            Self::I2 => twos.iter().map(|number| i16::from_le_bytes(*number)).collect(),
            Self::I4 => fours.iter().map(|number| i32::from_le_bytes(*number)).collect(),
            Self::I8 => eights.iter().map(|number| i64::from_le_bytes(*number)).collect(),
            Self::U1 => bytes.into(),
            Self::B1 => {
                if let Some(other) = bytes.iter().find(|byte| **byte > 1) {
                    return Err(
                        format!("a number of dtype `b1` is 0 or 1, but {other} is neither 0 nor 1").into()
                    );
                }
                bytes.iter().map(|byte| *byte == 1).collect()
            }
        })
    }
}
