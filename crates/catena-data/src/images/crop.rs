//! Parts of a fixed size.
use serde_json::json;

use super::draw::up_to;
use super::frame::Frame;
use super::rect::Rect;
use super::transform::{Transform, settings, sizes};
use crate::draws::Draws;
use crate::{Result, Settings};

/// The middle of an image, as torchvision's `CenterCrop`: a smaller image is first padded with zeros.
#[derive(Clone, Debug)]
pub struct CenterCrop {
    size: [usize; 2],
}

impl CenterCrop {
    /// Of this height and width.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { size: [height, width] }
    }
}

impl Transform for CenterCrop {
    fn name(&self) -> &'static str {
        "CenterCrop"
    }

    fn settings(&self) -> Settings {
        settings(json!({ "size": self.size }))
    }

    fn check(&self) -> Result<()> {
        sizes(self.size)
    }

    fn apply(&self, frame: &mut Frame, _: &mut Draws) -> Result<()> {
        let [height, width] = self.size;
        let [seen_height, seen_width] = frame.size();
        let (rows, columns) = (height.saturating_sub(seen_height), width.saturating_sub(seen_width));
        frame.pad([rows / 2, columns / 2, rows.div_ceil(2), columns.div_ceil(2)], 0, 0)?;
        let [seen_height, seen_width] = frame.size();
        frame.crop(Rect { top: half(seen_height - height), left: half(seen_width - width), height, width })
    }
}

/// Half of a number, rounded as Python rounds: a half to the even neighbour.
pub(super) fn half(number: usize) -> usize {
    number / 2 + usize::from(number % 4 == 3)
}

/// A part of an image at a place that is drawn, as torchvision's `RandomCrop`; with [`RandomCrop::padding`] the image is padded before.
#[derive(Clone, Debug)]
pub struct RandomCrop {
    size: [usize; 2],
    padding: usize,
    fill: u8,
    mask_fill: u8,
}

impl RandomCrop {
    /// Of this height and width. An image that is smaller is an error.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { size: [height, width], padding: 0, fill: 0, mask_fill: 0 }
    }

    /// Adds as many pixels on each side before (default: 0).
    #[must_use]
    pub const fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// The number that the added pixels have (default: 0).
    #[must_use]
    pub const fn fill(self, fill: u8) -> Self {
        Self { fill, ..self }
    }

    /// The class that the mask's added pixels have (default: 0), such as one that the loss leaves out.
    #[must_use]
    pub const fn mask_fill(self, mask_fill: u8) -> Self {
        Self { mask_fill, ..self }
    }
}

impl Transform for RandomCrop {
    fn name(&self) -> &'static str {
        "RandomCrop"
    }

    fn settings(&self) -> Settings {
        let Self { size, padding, fill, mask_fill } = self;
        settings(json!({ "size": size, "padding": padding, "fill": fill, "mask_fill": mask_fill }))
    }

    fn check(&self) -> Result<()> {
        sizes(self.size)?;
        if self.padding > 1 << 16 {
            return Err(format!(
                "a padding of {} was asked for; at most {} can be made",
                self.padding,
                1 << 16
            )
            .into());
        }
        Ok(())
    }

    fn apply(&self, frame: &mut Frame, draws: &mut Draws) -> Result<()> {
        let mut numbers = draws.of(self.name());
        frame.pad([self.padding; 4], self.fill, self.mask_fill)?;
        let ([height, width], [seen_height, seen_width]) = (self.size, frame.size());
        let (Some(rows), Some(columns)) = (seen_height.checked_sub(height), seen_width.checked_sub(width))
        else {
            return Err(format!(
                "the part of height {height} and width {width} is larger than the image (height {seen_height}, width {seen_width}, padding included): resize before, or pad more"
            )
            .into());
        };
        let (top, left) = (up_to(&mut numbers, rows), up_to(&mut numbers, columns));
        frame.crop(Rect { top, left, height, width })
    }
}
