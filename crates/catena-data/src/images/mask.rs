//! Masks: the class of each pixel.
use std::io::Cursor;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

use super::decode::bounded;
use super::picture::{MOST_PIXELS, Picture};
use crate::Result;

/// Reads a mask: a PNG file of grey pixels or of places in a palette (as Pascal VOC has them), of at most 8 bits. The numbers are those in the file; the palette's colours do not matter. It is
/// an error, with the path, if the file is another one.
pub fn read_mask(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let read = || {
        let bytes = std::fs::read(path)?;
        decode(&bytes)
    };
    read().map_err(|error| format!("{}: {error}", path.display()).into())
}

fn decode(bytes: &[u8]) -> Result<Picture> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MOST_PIXELS });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|error| format!("no PNG file: {error}"))?;
    let info = reader.info();
    let (width, height, bits) = (info.width, info.height, info.bit_depth);
    let one_channel = matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed);
    if !one_channel || bits == BitDepth::Sixteen {
        return Err(format!(
            "a mask is a PNG file of grey pixels or of places in a palette, of at most 8 bits, but this one is {:?} of {} bits",
            info.color_type, bits as u8
        )
        .into());
    }
    bounded(width, height, MOST_PIXELS)?;
    let (width, height, bits) = (width as usize, height as usize, bits as usize);
    let line = (width * bits).div_ceil(8);
    let mut packed = vec![0; line * height];
    reader.next_frame(&mut packed)?;
    let mask = (1_u16 << bits) - 1;
    let pixels = packed.chunks_exact(line).flat_map(|line| {
        (0..width).map(move |at| {
            let bit = at * bits;
            (line[bit / 8] >> (8 - bits - bit % 8)) & mask as u8
        })
    });
    Picture::new(pixels.collect(), [height, width, 1])
}
