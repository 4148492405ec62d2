//! Reading image files.
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::jpeg;
use super::picture::{MOST_PIXELS, Picture};
use crate::Result;

/// How image files (JPEG, PNG; told by their first bytes, not by their names) are read.
///
/// By default as torchvision's `ImageFolder` reads them: three channels, without transparency, and turned as the pixels stand in the file, whatever the EXIF orientation says.
#[derive(Clone, Debug)]
pub struct Decode {
    oriented: bool,
    grey: bool,
    most_pixels: usize,
}

impl Decode {
    /// Three channels, as the pixels stand, at most 178,956,970 of them (where Pillow refuses).
    pub const fn new() -> Self {
        Self { oriented: false, grey: false, most_pixels: MOST_PIXELS }
    }

    /// Turns an image as its EXIF orientation says.
    #[must_use]
    pub const fn oriented(self) -> Self {
        Self { oriented: true, ..self }
    }

    /// One channel: Pillow's mode `L`, the luma of ITU-R 601-2.
    #[must_use]
    pub const fn grey(self) -> Self {
        Self { grey: true, ..self }
    }

    /// Refuses images of more pixels, by their header, before memory is taken for them.
    #[must_use]
    pub const fn most_pixels(self, most: usize) -> Self {
        Self { most_pixels: most, ..self }
    }

    /// What the setters say, as data.
    pub fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "oriented": self.oriented, "grey": self.grey })
    }

    /// Reads a file. It is an error, with the path, if it is no JPEG or PNG file, is cut off, or has more pixels than allowed.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Picture> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        self.bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Reads a file's bytes.
    pub fn bytes(&self, bytes: &[u8]) -> Result<Picture> {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
        match reader.format() {
            Some(ImageFormat::Jpeg) => jpeg::whole(bytes)?,
            Some(ImageFormat::Png) => {}
            _ => return Err("no JPEG or PNG image: the file begins like neither".into()),
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some((self.most_pixels as u64).saturating_mul(8).saturating_add(1 << 20));
        reader.limits(limits);
        let mut decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        bounded(width, height, self.most_pixels)?;
        let orientation = if self.oriented { Some(decoder.orientation()?) } else { None };
        let mut image = DynamicImage::from_decoder(decoder)?;
        if let Some(orientation) = orientation {
            image.apply_orientation(orientation);
        }
        if self.grey {
            if let DynamicImage::ImageLuma8(grey) = image {
                let size = [grey.height() as usize, grey.width() as usize, 1];
                return Picture::new(grey.into_raw(), size);
            }
            let colours = image.into_rgb8();
            let size = [colours.height() as usize, colours.width() as usize, 1];
            return Picture::new(colours.pixels().map(|pixel| luma(pixel.0)).collect(), size);
        }
        let image = image.into_rgb8();
        let size = [image.height() as usize, image.width() as usize, 3];
        Picture::new(image.into_raw(), size)
    }
}

impl Default for Decode {
    fn default() -> Self {
        Self::new()
    }
}

/// In the fixed point of Pillow.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

pub(super) fn bounded(width: u32, height: u32, most: usize) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > most as u64 {
        return Err(format!(
            "the header tells of {width} × {height} pixels, more than the {most} that are allowed: allow more with `most_pixels` if the image is meant to be as large"
        )
        .into());
    }
    Ok(())
}
