//! Changing an image's size.
use serde_json::json;

use super::frame::Frame;
use super::resample::Filter;
use super::transform::{Transform, settings, sizes};
use crate::draws::Draws;
use crate::{Result, Settings};

/// Changes the size of an image, as torchvision's `Resize` does to one of Pillow: with antialias, within 1 of Pillow's pixels. A mask takes the nearest pixel.
#[derive(Clone, Debug)]
pub struct Resize {
    size: Size,
    filter: Filter,
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Exactly([usize; 2]),
    Shorter(usize),
}

impl Resize {
    /// To this height and width, whatever the image's shape.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { size: Size::Exactly([height, width]), filter: Filter::Bilinear }
    }

    /// To an image whose shorter side has this size, and the longer one in proportion, rounded down.
    pub const fn shorter(size: usize) -> Self {
        Self { size: Size::Shorter(size), filter: Filter::Bilinear }
    }

    /// Another filter than [`Filter::Bilinear`].
    #[must_use]
    pub const fn filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }
}

impl Transform for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn settings(&self) -> Settings {
        match self.size {
            Size::Exactly(size) => settings(json!({ "size": size, "filter": self.filter.name() })),
            Size::Shorter(size) => settings(json!({ "shorter": size, "filter": self.filter.name() })),
        }
    }

    fn check(&self) -> Result<()> {
        match self.size {
            Size::Exactly(size) => sizes(size),
            Size::Shorter(size) => sizes([size; 2]),
        }
    }

    fn apply(&self, frame: &mut Frame, _: &mut Draws) -> Result<()> {
        let size = match self.size {
            Size::Exactly(size) => size,
            Size::Shorter(size) => {
                let [height, width] = frame.size();
                let longer =
                    |long: usize, short: usize| (size as u128 * long as u128 / short as u128) as usize;
                if height < width { [size, longer(width, height)] } else { [longer(height, width), size] }
            }
        };
        frame.resize(size, self.filter)
    }
}
