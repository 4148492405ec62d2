//! A part of a drawn size and shape, brought to one size.
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::draw::{between, log_between, up_to};
use super::frame::Frame;
use super::rect::Rect;
use super::resample::Filter;
use super::transform::{Transform, range, settings, sizes};
use crate::draws::Draws;
use crate::{Result, Settings};

/// A part of a drawn size and shape, brought to one size, as torchvision's `RandomResizedCrop`: the share of the image's area is drawn between the bounds of `scale`, width by height between those of
/// `ratio` (uniformly in its logarithm), and the place evenly. If ten tries give no part that lies in the image, the middle one of the nearest allowed ratio is taken.
#[derive(Clone, Debug)]
pub struct RandomResizedCrop {
    size: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    filter: Filter,
}

impl RandomResizedCrop {
    /// To this height and width, with scales of 0.08 to 1, ratios of 3/4 to 4/3 and [`Filter::Bilinear`].
    pub const fn new(height: usize, width: usize) -> Self {
        Self {
            size: [height, width],
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            filter: Filter::Bilinear,
        }
    }

    /// The least and the greatest share of the image's area.
    #[must_use]
    pub const fn scale(self, least: f64, greatest: f64) -> Self {
        Self { scale: [least, greatest], ..self }
    }

    /// The least and the greatest quotient of width by height.
    #[must_use]
    pub const fn ratio(self, least: f64, greatest: f64) -> Self {
        Self { ratio: [least, greatest], ..self }
    }

    /// Another filter than [`Filter::Bilinear`].
    #[must_use]
    pub const fn filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }

    pub(super) fn part(&self, [height, width]: [usize; 2], numbers: &mut ChaCha8Rng) -> Rect {
        let area = height as f64 * width as f64;
        for _ in 0..10 {
            let target = area * between(numbers, self.scale);
            let ratio = log_between(numbers, self.ratio);
            let part_width = (target * ratio).sqrt().round_ties_even() as usize;
            let part_height = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&part_width) && (1..=height).contains(&part_height) {
                let top = up_to(numbers, height - part_height);
                let left = up_to(numbers, width - part_width);
                return Rect { top, left, height: part_height, width: part_width };
            }
        }
        let [least, greatest] = self.ratio;
        let ratio = width as f64 / height as f64;
        let of = |side: f64, all: usize| (side.round_ties_even() as usize).clamp(1, all);
        let (part_height, part_width) = if ratio < least {
            (of(width as f64 / least, height), width)
        } else if ratio > greatest {
            (height, of(height as f64 * greatest, width))
        } else {
            (height, width)
        };
        Rect {
            top: (height - part_height) / 2,
            left: (width - part_width) / 2,
            height: part_height,
            width: part_width,
        }
    }
}

impl Transform for RandomResizedCrop {
    fn name(&self) -> &'static str {
        "RandomResizedCrop"
    }

    fn settings(&self) -> Settings {
        let Self { size, scale, ratio, filter } = self;
        settings(json!({ "size": size, "scale": scale, "ratio": ratio, "filter": filter.name() }))
    }

    fn check(&self) -> Result<()> {
        sizes(self.size)?;
        range("scale", self.scale)?;
        range("ratio", self.ratio)
    }

    fn apply(&self, frame: &mut Frame, draws: &mut Draws) -> Result<()> {
        frame.crop(self.part(frame.size(), &mut draws.of(self.name())))?;
        frame.resize(self.size, self.filter)
    }
}
