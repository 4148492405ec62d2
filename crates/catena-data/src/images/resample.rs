//! Pixels of another size out of those that are there.
use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::picture::Picture;
use super::rect::{Rect, lines};
use crate::Result;

/// How a pixel is made of those around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The pixel that lies nearest, without antialias.
    Nearest,
    /// The mean of those covered.
    Box,
    /// Weights that fall linearly: torchvision's default.
    #[default]
    Bilinear,
    /// Sharper than bilinear where an image becomes smaller.
    Hamming,
    /// Cubic, with a = -0.5 as Pillow has it.
    Bicubic,
    /// Lanczos with three lobes.
    Lanczos,
}

impl Filter {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Box => "box",
            Self::Bilinear => "bilinear",
            Self::Hamming => "hamming",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }
}

impl std::str::FromStr for Filter {
    type Err = String;

    /// Pillow's names, in lower case.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Nearest, Self::Box, Self::Bilinear, Self::Hamming, Self::Bicubic, Self::Lanczos];
        all.into_iter()
            .find(|filter| filter.name() == text)
            .ok_or_else(|| format!("`{text}` is no filter; there are: {}", all.map(Self::name).join(", ")))
    }
}

/// A part of an image in another size. Rows are resized first and columns then, as Pillow does: between the two, numbers are rounded to u8 and cut off at its ends.
pub(super) fn resized(picture: &Picture, part: Rect, size: [usize; 2], filter: Filter) -> Result<Picture> {
    let filter = match filter {
        Filter::Nearest => return Ok(nearest(picture, part, size)),
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Hamming => FilterType::Hamming,
        Filter::Bicubic => FilterType::CatmullRom,
        Filter::Lanczos => FilterType::Lanczos3,
    };
    let [height, width] = size;
    if width == part.width {
        return pass(picture, part, size, filter);
    }
    let rows = pass(picture, part, [part.height, width], filter)?;
    if height == part.height {
        return Ok(rows);
    }
    pass(&rows, Rect { top: 0, left: 0, height: part.height, width }, size, filter)
}

/// Resizes a part along one side. What lies around it is not seen.
fn pass(picture: &Picture, part: Rect, [height, width]: [usize; 2], filter: FilterType) -> Result<Picture> {
    let channels = picture.channels;
    let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let side = |side: usize| u32::try_from(side);
    let from = ImageRef::new(side(picture.width)?, side(picture.height)?, &picture.pixels, kind)?;
    let Rect { top, left, height: part_height, width: part_width } = part;
    let from = CroppedImage::new(&from, side(left)?, side(top)?, side(part_width)?, side(part_height)?)?;
    let mut pixels = vec![0; height * width * channels];
    let mut into = Image::from_slice_u8(side(width)?, side(height)?, &mut pixels, kind)?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    Resizer::new().resize(&from, &mut into, &options)?;
    Ok(Picture { pixels, height, width, channels })
}

/// A part of an image in another size, each pixel the one that its middle falls into.
pub(super) fn nearest(picture: &Picture, part: Rect, [height, width]: [usize; 2]) -> Picture {
    let place =
        |at: usize, all: usize, of: usize| (((2 * at + 1) as u128 * of as u128) / (2 * all as u128)) as usize;
    let rows: Vec<&[u8]> = lines(picture, part).collect();
    let columns: Vec<usize> = (0..width).map(|at| place(at, width, part.width) * picture.channels).collect();
    let mut pixels = Vec::with_capacity(height * width * picture.channels);
    for at in 0..height {
        let row = rows[place(at, height, part.height)];
        for column in &columns {
            pixels.extend_from_slice(&row[*column..column + picture.channels]);
        }
    }
    Picture { pixels, height, width, channels: picture.channels }
}
