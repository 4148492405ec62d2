//! An image's pixels.
use crate::Result;

/// The most pixels that anything here makes of an image: twice the number from which Pillow warns, as where it refuses.
pub(super) const MOST_PIXELS: usize = 178_956_970;

/// A decoded image: u8, row by row, the channels of a pixel side by side (`[height, width, channels]`); 1 channel is grey (or a mask's class), 3 are red, green and blue.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub(super) pixels: Vec<u8>,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Picture {
    /// Pixels of this shape. It is an error if the shape holds another number of them or none, or has neither 1 nor 3 channels.
    ///
    /// ```
    /// use catena_data::images::Picture;
    ///
    /// let grey = Picture::new(vec![0, 128, 255, 7, 8, 9], [2, 3, 1])?;
    /// assert_eq!(grey.size(), [2, 3]);
    /// assert!(Picture::new(vec![0; 6], [2, 3, 3]).is_err());
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    pub fn new(pixels: Vec<u8>, [height, width, channels]: [usize; 3]) -> Result<Self> {
        let room = height.checked_mul(width).and_then(|room| room.checked_mul(channels));
        if room != Some(pixels.len()) || pixels.is_empty() || ![1, 3].contains(&channels) {
            return Err(format!(
                "{} numbers are no image of height {height}, width {width} and {channels} channels (1 or 3)",
                pixels.len()
            )
            .into());
        }
        Ok(Self { pixels, height, width, channels })
    }

    /// Height and width.
    pub const fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// 1 or 3.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// The numbers, of the shape `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}
