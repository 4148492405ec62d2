//! A part of an array that is written over.
use serde_json::json;

use super::draw::{between, happens, log_between, up_to};
use super::rect::Rect;
use super::transform::{probability, range, settings};
use crate::draws::Draws;
use crate::{Result, Settings};

/// Writes a number over a part of the finished array, as torchvision's `RandomErasing` (Zhong et al., <https://arxiv.org/abs/1708.04896>): the share of the area is drawn between the bounds of `scale`,
/// height by width between those of `ratio`. If ten tries give no part smaller than the image, nothing is erased. A mask stays as it is.
#[derive(Clone, Debug)]
pub struct RandomErasing {
    p: f64,
    scale: [f64; 2],
    ratio: [f64; 2],
    pub(super) value: f32,
}

impl RandomErasing {
    /// With probability 0.5, scales of 0.02 to 0.33, ratios of 0.3 to 3.3, and the number 0.
    pub const fn new() -> Self {
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: 0.0 }
    }

    /// With this probability.
    #[must_use]
    pub const fn p(self, p: f64) -> Self {
        Self { p, ..self }
    }

    /// The least and the greatest share of the image's area.
    #[must_use]
    pub const fn scale(self, least: f64, greatest: f64) -> Self {
        Self { scale: [least, greatest], ..self }
    }

    /// The least and the greatest quotient of height by width.
    #[must_use]
    pub const fn ratio(self, least: f64, greatest: f64) -> Self {
        Self { ratio: [least, greatest], ..self }
    }

    /// The number that is written, in the array's unit: after normalizing.
    #[must_use]
    pub const fn value(self, value: f32) -> Self {
        Self { value, ..self }
    }

    pub(super) fn settings(&self) -> Settings {
        let Self { p, scale, ratio, value } = self;
        settings(json!({ "p": p, "scale": scale, "ratio": ratio, "value": value }))
    }

    pub(super) fn check(&self) -> Result<()> {
        probability(self.p)?;
        range("scale", self.scale)?;
        if self.scale[1] > 1.0 {
            return Err(format!(
                "`scale` is {:?}, but no part is larger than the image: 1 is the most",
                self.scale
            )
            .into());
        }
        range("ratio", self.ratio)?;
        if !self.value.is_finite() {
            return Err(format!("`value` is {}: a finite number is needed", self.value).into());
        }
        Ok(())
    }

    pub(super) fn part(&self, [height, width]: [usize; 2], draws: &mut Draws) -> Option<Rect> {
        let mut numbers = draws.of("RandomErasing");
        if !happens(&mut numbers, self.p) {
            return None;
        }
        let area = height as f64 * width as f64;
        (0..10).find_map(|_| {
            let target = area * between(&mut numbers, self.scale);
            let ratio = log_between(&mut numbers, self.ratio);
            let part_height = (target * ratio).sqrt().round_ties_even() as usize;
            let part_width = (target / ratio).sqrt().round_ties_even() as usize;
            let fits = part_height < height && part_width < width && part_height > 0 && part_width > 0;
            fits.then(|| Rect {
                top: up_to(&mut numbers, height - part_height),
                left: up_to(&mut numbers, width - part_width),
                height: part_height,
                width: part_width,
            })
        })
    }
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self::new()
    }
}
