//! Tensors' bytes as numbers, to tell how far two of them are apart.
use std::cmp::Ordering;
use std::fmt;

use catena_record::tensors::size_of;
use half::{bf16, f16};
use serde_json::Value;

use crate::report;

/// A number of a tensor, or how far two are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Of a float dtype.
    Float(f64),
    /// Of an integer dtype, or a bool.
    Whole(i128),
}

/// How two tensors of one dtype and shape differ.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    /// How many numbers have other bits.
    pub(crate) count: usize,
    /// The place in row-major order of those that are furthest apart, the two, and their distance. None for a dtype without numbers
    /// that are known here.
    pub(crate) largest: Option<(usize, Number, Number, Number)>,
}

/// How the bytes of two tensors of a dtype differ; none if they are equal bit by bit.
pub(crate) fn compare(dtype: &str, a: &[u8], b: &[u8]) -> Option<Difference> {
    if a == b {
        return None;
    }
    let size = size_of(dtype).map_or(1, |size| size as usize);
    let mut difference = Difference { count: 0, largest: None };
    for (i, (a, b)) in a.chunks(size).zip(b.chunks(size)).enumerate().filter(|(_, (a, b))| a != b) {
        difference.count += 1;
        let Some((a, b)) = decode(dtype, a).zip(decode(dtype, b)) else { continue };
        let distance = a.distance(b);
        if difference.largest.is_none_or(|(.., largest)| distance.order(largest) == Ordering::Greater) {
            difference.largest = Some((i, a, b, distance));
        }
    }
    Some(difference)
}

fn decode(dtype: &str, bytes: &[u8]) -> Option<Number> {
    Some(match dtype {
        "F16" => Number::Float(f16::from_le_bytes(bytes.try_into().ok()?).into()),
        "BF16" => Number::Float(bf16::from_le_bytes(bytes.try_into().ok()?).into()),
        "F32" => Number::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        "F64" => Number::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        "BOOL" | "U8" => Number::Whole(u8::from_le_bytes(bytes.try_into().ok()?).into()),
        "I8" => Number::Whole(i8::from_le_bytes(bytes.try_into().ok()?).into()),
        "I16" => Number::Whole(i16::from_le_bytes(bytes.try_into().ok()?).into()),
        "U16" => Number::Whole(u16::from_le_bytes(bytes.try_into().ok()?).into()),
        "I32" => Number::Whole(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        "U32" => Number::Whole(u32::from_le_bytes(bytes.try_into().ok()?).into()),
        "I64" => Number::Whole(i64::from_le_bytes(bytes.try_into().ok()?).into()),
        "U64" => Number::Whole(u64::from_le_bytes(bytes.try_into().ok()?).into()),
        _ => return None,
    })
}

impl Number {
    fn distance(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole((a - b).abs()),
            (a, b) => Self::Float((a.float() - b.float()).abs()),
        }
    }

    /// The order of distances: NaN is the furthest.
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => a.float().total_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Float(number) => number,
            Self::Whole(number) => number as f64,
        }
    }

    pub(crate) fn json(self) -> Value {
        match self {
            Self::Float(number) => report::float(number),
            Self::Whole(number) => serde_json::Number::from_i128(number).map_or(Value::Null, Value::Number),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(number) if *number != 0.0 && !(1e-4..1e7).contains(&number.abs()) => {
                write!(f, "{number:e}")
            }
            Self::Float(number) => write!(f, "{number}"),
            Self::Whole(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(numbers: &[[u8; N]]) -> Vec<u8> {
        numbers.concat()
    }

    fn largest(dtype: &str, a: &[u8], b: &[u8]) -> (usize, String) {
        let difference = compare(dtype, a, b).unwrap();
        (difference.count, difference.largest.unwrap().3.to_string())
    }

    #[test]
    fn every_dtype_knows_how_far_numbers_are_apart() {
        let f16s = |x: &[f32]| bytes(&x.iter().map(|x| f16::from_f32(*x).to_le_bytes()).collect::<Vec<_>>());
        let bf16s =
            |x: &[f32]| bytes(&x.iter().map(|x| bf16::from_f32(*x).to_le_bytes()).collect::<Vec<_>>());
        let f32s = |x: &[f32]| bytes(&x.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        let f64s = |x: &[f64]| bytes(&x.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        let i64s = |x: &[i64]| bytes(&x.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        assert_eq!(largest("F16", &f16s(&[1.0, 2.0]), &f16s(&[1.5, 2.0])), (1, "0.5".into()));
        assert_eq!(largest("BF16", &bf16s(&[-1.0, 2.0]), &bf16s(&[1.0, 2.5])), (2, "2".into()));
        assert_eq!(largest("F32", &f32s(&[0.0, 1.0]), &f32s(&[0.25, 1.0])), (1, "0.25".into()));
        assert_eq!(
            largest("F64", &f64s(&[1.0]), &f64s(&[1.0 + f64::EPSILON])),
            (1, "2.220446049250313e-16".into())
        );
        assert_eq!(largest("I64", &i64s(&[i64::MIN]), &i64s(&[i64::MAX])), (1, u64::MAX.to_string()));
        assert_eq!(largest("BOOL", &[0, 1, 1], &[0, 0, 1]), (1, "1".into()));
        assert_eq!(largest("I8", &[0x80], &[0x7f]), (1, "255".into()));
        assert_eq!(largest("U8", &[0x80], &[0x7f]), (1, "1".into()));
        assert_eq!(largest("I16", &[0xff, 0xff], &[0, 0]), (1, "1".into()));
        assert_eq!(largest("U16", &[0xff, 0xff], &[0, 0]), (1, "65535".into()));
        assert_eq!(largest("I32", &[0xff; 4], &[0; 4]), (1, "1".into()));
        assert_eq!(largest("U32", &[0xff; 4], &[0; 4]), (1, u32::MAX.to_string()));
        assert_eq!(largest("U64", &[0xff; 8], &[0; 8]), (1, u64::MAX.to_string()));
    }

    #[test]
    fn nan_is_further_than_infinity_and_a_zero_differs_by_its_sign() {
        let f32s = |x: [f32; 3]| x.map(f32::to_le_bytes).concat();
        let difference =
            compare("F32", &f32s([f32::INFINITY, 1.0, 1.0]), &f32s([0.0, f32::NAN, 9.0])).unwrap();
        assert_eq!(difference.count, 3);
        let (at, _, _, distance) = difference.largest.unwrap();
        assert_eq!((at, distance.to_string(), distance.json()), (1, "NaN".into(), "nan".into()));
        let zeros = compare("F32", &0f32.to_le_bytes(), &(-0f32).to_le_bytes()).unwrap();
        assert_eq!(zeros.largest.unwrap().3, Number::Float(0.0));
        assert_eq!(compare("F32", &f32s([f32::NAN; 3]), &f32s([f32::NAN; 3])), None);
    }

    #[test]
    fn a_dtype_without_numbers_is_compared_by_its_bytes() {
        assert_eq!(compare("F8_E4M3", &[1, 2], &[1, 3]), Some(Difference { count: 1, largest: None }));
    }
}
