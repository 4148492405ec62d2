//! Numbers as text that reads back to the same bits.
use std::fmt;

use serde::{Serialize, Serializer};

/// A number in JSON or CSV: the shortest text that reads back exactly; `inf`, `-inf` and `nan` (strings in JSON) for what
/// JSON has no number for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) f64);

impl Number {
    fn word(self) -> Option<&'static str> {
        catena_record::float::word(self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word() {
            Some(word) => f.write_str(word),
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.word() {
            Some(word) => serializer.serialize_str(word),
            None => serializer.serialize_f64(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_to_the_same_bits() {
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let value = f64::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            let json = serde_json::to_string(&Number(value)).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), bits, "{json}");
            let csv = Number(value).to_string();
            assert_eq!(csv.parse::<f64>().unwrap().to_bits(), bits, "{csv}");
        }
        let words = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0]
            .map(|x| serde_json::to_string(&Number(x)).unwrap());
        assert_eq!(words, ["\"inf\"", "\"-inf\"", "\"nan\"", "-0.0"]);
        assert_eq!([f64::NAN, 0.25, 1e-7].map(|x| Number(x).to_string()), ["nan", "0.25", "1e-7"]);
    }
}
