//! Whether a JPEG file is all there. Decoders fill what is missing with grey and say nothing.
use crate::Result;

/// Walks over the file's segments to its end mark. What stands in a segment, such as a small image with an end mark of its own, does not count.
pub(super) fn whole(bytes: &[u8]) -> Result<()> {
    let cut_off = || "the JPEG file is cut off: it ends before its end mark".into();
    let mut at = 2;
    loop {
        let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) else {
            return Err(cut_off());
        };
        at += found + 1;
        match bytes.get(at) {
            None => return Err(cut_off()),
            Some(0xd9) => return Ok(()),
            // A byte 0xff of the image itself, a restart mark, a filling byte: all without a length.
            Some(0xff) => {}
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(_) => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return Err(cut_off()) };
                at += 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}
