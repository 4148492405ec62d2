//! Pictures to log.
use catena_tensor::tch::{Device, Kind, Tensor};

use crate::error::Result;

/// A picture: rows of pixels with 1 (grey), 3 (RGB) or 4 (RGBA) bytes.
///
/// ```
/// use catena_loggers::Image;
/// use catena_tensor::tch::{Device, Kind, Tensor};
///
/// let samples = Tensor::rand([10, 1, 8, 8], (Kind::Float, Device::Cpu));
/// let image = Image::grid(&samples, 5)?;
/// assert_eq!((image.width(), image.height()), (5 * 10 + 2, 2 * 10 + 2));
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Image {
    width: u32,
    height: u32,
    channels: u8,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} × {} × {})", self.width, self.height, self.channels)
    }
}

/// Pixels between the pictures of a grid.
const GAP: i64 = 2;

/// The largest side of a cell of a heat map, and about the side of the whole.
const CELL: usize = 32;
const SIDE: usize = 512;

impl Image {
    /// From bytes, row by row.
    pub fn new(width: u32, height: u32, channels: u8, pixels: Vec<u8>) -> Result<Self> {
        let expected = u64::from(width) * u64::from(height) * u64::from(channels);
        if !matches!(channels, 1 | 3 | 4) || expected == 0 || pixels.len() as u64 != expected {
            let found = pixels.len();
            return Err(format!(
                "an image of {width} × {height} pixels with {channels} channels can't have {found} bytes; it needs 1, 3 or 4 \
                 channels, and a byte for each and pixel"
            )
            .into());
        }
        Ok(Self { width, height, channels, pixels })
    }

    /// From a tensor `[height, width]` or `[channels, height, width]`: bytes as they are, other numbers from 0 to 1 (what lies
    /// outside is cut off). Waits for the device.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let size = tensor.size();
        let (channels, height, width) = match size[..] {
            [height, width] => (1, height, width),
            [channels, height, width] => (channels, height, width),
            _ => {
                return Err(format!(
                    "an image needs shape [height, width] or [channels, height, width], but got {size:?}"
                )
                .into());
            }
        };
        let bytes = match tensor.f_kind()? {
            Kind::Uint8 => tensor.f_detach()?,
            _ => {
                let unit = tensor
                    .f_detach()?
                    .f_to_kind(Kind::Float)?
                    .f_nan_to_num(0.0, 1.0, 0.0)?
                    .f_clamp(0.0, 1.0)?;
                unit.f_mul_scalar(255.0)?.f_round()?.f_to_kind(Kind::Uint8)?
            }
        };
        let bytes =
            bytes.f_to_device(Device::Cpu)?.f_reshape([channels, height, width])?.f_permute([1, 2, 0])?;
        let pixels = Vec::<u8>::try_from(bytes.f_contiguous()?.f_reshape([-1])?)?;
        let side = |n: i64| u32::try_from(n).map_err(|_| format!("an image can't have {n} pixels on a side"));
        let channels =
            u8::try_from(channels).map_err(|_| format!("an image can't have {channels} channels"))?;
        Self::new(side(width)?, side(height)?, channels, pixels)
    }

    /// Many pictures `[n, channels, height, width]` as one, so many in a row, 2 pixels apart, as torchvision's `make_grid` lays
    /// them. Waits for the device.
    pub fn grid(tensor: &Tensor, in_a_row: i64) -> Result<Self> {
        let size = tensor.size();
        let [n, channels, height, width] = size[..] else {
            return Err(format!(
                "a grid of images needs shape [n, channels, height, width], but got {size:?}"
            )
            .into());
        };
        if n == 0 || in_a_row < 1 {
            return Err(format!(
                "a grid needs at least one image, and one in a row; got {n} images, {in_a_row} in a row"
            )
            .into());
        }
        let columns = in_a_row.min(n);
        let rows = (n + columns - 1) / columns;
        let (down, right) = (height + GAP, width + GAP);
        let grid = Tensor::f_zeros(
            [channels, rows * down + GAP, columns * right + GAP],
            (tensor.f_kind()?, tensor.device()),
        )?;
        for i in 0..n {
            let (top, left) = (i / columns * down + GAP, i % columns * right + GAP);
            grid.f_narrow(1, top, height)?
                .f_narrow(2, left, width)?
                .f_copy_(&tensor.f_detach()?.f_get(i)?)?;
        }
        Self::of(&grid)
    }

    /// A matrix as squares from white (0) to dark blue (its largest number), such as a confusion matrix: row by row from the top.
    pub fn heat_map(rows: &[Vec<f64>]) -> Result<Self> {
        let (height, width) = (rows.len(), rows.first().map_or(0, Vec::len));
        if rows.iter().any(|row| row.len() != width) {
            return Err("a heat map needs rows of one length".into());
        }
        let cell = (SIDE / height.max(width).max(1)).clamp(1, CELL);
        let max = rows.iter().flatten().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
        let mut pixels = Vec::with_capacity(height * width * cell * cell * 3);
        for row in rows {
            let line: Vec<u8> = row.iter().flat_map(|&x| color(x / max).repeat(cell)).collect();
            (0..cell).for_each(|_| pixels.extend_from_slice(&line));
        }
        Self::new((width * cell) as u32, (height * cell) as u32, 3, pixels)
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes a pixel: 1, 3 or 4.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// As a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_color(match self.channels {
            1 => png::ColorType::Grayscale,
            3 => png::ColorType::Rgb,
            _ => png::ColorType::Rgba,
        });
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }
}

/// From white to dark blue; what is no share is grey.
fn color(share: f64) -> [u8; 3] {
    let mix = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0)) as u8;
    match share.is_nan() {
        true => [128; 3],
        false => [mix(255.0, 8.0), mix(255.0, 48.0), mix(255.0, 107.0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_become_the_same_pixels_and_come_back_from_the_png() {
        let numbers = Tensor::from_slice(&[0.0f32, 1.0, -3.0, 7.0, 0.5, f32::NAN]).view([1, 2, 3]);
        let bytes = Tensor::from_slice(&[0u8, 255, 0, 255, 128, 0]).view([2, 3]);
        let image = Image::of(&numbers).unwrap();
        assert_eq!(image, Image::of(&bytes).unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(image.png().unwrap())).read_info().unwrap();
        let mut pixels = vec![0; 6];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 255, 0, 255, 128, 0]);
    }

    #[test]
    fn channels_come_last_in_pixels() {
        let planes = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6]).view([3, 1, 2]);
        assert_eq!(Image::of(&planes).unwrap().pixels, [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn a_grid_lays_pictures_row_by_row() {
        let tensor = Tensor::from_slice(&[10u8, 20, 30]).view([3, 1, 1, 1]);
        let grid = Image::grid(&tensor, 2).unwrap();
        assert_eq!((grid.width, grid.height), (8, 8));
        let at = |x: usize, y: usize| grid.pixels[y * 8 + x];
        assert_eq!([at(2, 2), at(5, 2), at(2, 5), at(5, 5), at(0, 0)], [10, 20, 30, 0, 0]);
    }

    #[test]
    fn a_heat_map_is_darkest_where_the_number_is_largest() {
        let map = Image::heat_map(&[vec![0.0, 4.0], vec![f64::NAN, 2.0]]).unwrap();
        assert_eq!((map.width, map.height), (64, 64));
        let at = |x: usize, y: usize| &map.pixels[(y * 64 + x) * 3..][..3];
        assert_eq!([at(0, 0), at(63, 0), at(0, 63)], [&[255; 3], &[8, 48, 107], &[128; 3]]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for wrong in [
            Tensor::zeros([2], (Kind::Float, Device::Cpu)),
            Tensor::zeros([2, 0, 3], (Kind::Float, Device::Cpu)),
        ] {
            assert!(Image::of(&wrong).is_err());
        }
        assert!(Image::new(2, 2, 3, vec![0; 11]).is_err());
        assert!(Image::heat_map(&[]).is_err());
        assert!(Image::heat_map(&[vec![1.0], vec![]]).is_err());
    }
}
