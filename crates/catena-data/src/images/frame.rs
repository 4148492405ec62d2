//! An image, and its mask if there is one, while transforms change them.
use super::picture::{MOST_PIXELS, Picture};
use super::rect::{Rect, lines};
use super::resample::{Filter, nearest, resized};
use crate::Result;

/// An image, and its mask if there is one: what a [`Transform`](crate::images::Transform) changes. Each change is made to both, so they stay aligned. Crops and flips only note what is seen of the
/// pixels, which are read once, when they are resized or made an array.
#[derive(Clone, Debug)]
pub struct Frame {
    image: Picture,
    mask: Option<Picture>,
    seen: Rect,
    /// Whether what is seen is flipped: horizontally, vertically.
    flipped: [bool; 2],
}

impl Frame {
    /// A whole image. It is an error if the mask has another size or more than one channel.
    pub fn new(image: Picture, mask: Option<Picture>) -> Result<Self> {
        let [height, width] = image.size();
        if let Some(mask) = &mask {
            let [mask_height, mask_width] = mask.size();
            if (mask_height, mask_width, mask.channels) != (height, width, 1) {
                return Err(format!(
                    "the mask has height {mask_height}, width {mask_width} and {} channels, but its image has height {height} and width {width}: a mask has its image's size and 1 channel",
                    mask.channels
                )
                .into());
            }
        }
        Ok(Self { image, mask, seen: Rect { top: 0, left: 0, height, width }, flipped: [false; 2] })
    }

    /// Height and width of what is seen.
    pub const fn size(&self) -> [usize; 2] {
        [self.seen.height, self.seen.width]
    }

    /// The image's channels, 1 or 3.
    pub const fn channels(&self) -> usize {
        self.image.channels
    }

    /// Leaves a part. It is an error if the part is empty or does not lie in what is seen.
    pub fn crop(&mut self, part: Rect) -> Result<()> {
        let Rect { top, left, height, width } = part;
        let below = |start: usize, size: usize, all: usize| size > 0 && start <= all && size <= all - start;
        if !below(top, height, self.seen.height) || !below(left, width, self.seen.width) {
            return Err(format!(
                "{part:?} does not lie in an image of height {} and width {}",
                self.seen.height, self.seen.width
            )
            .into());
        }
        let [horizontal, vertical] = self.flipped;
        let top = if vertical { self.seen.height - top - height } else { top };
        let left = if horizontal { self.seen.width - left - width } else { left };
        self.seen = Rect { top: self.seen.top + top, left: self.seen.left + left, height, width };
        Ok(())
    }

    /// Left becomes right.
    pub const fn flip_horizontally(&mut self) {
        self.flipped[0] = !self.flipped[0];
    }

    /// Top becomes bottom.
    pub const fn flip_vertically(&mut self) {
        self.flipped[1] = !self.flipped[1];
    }

    /// Changes the size: the image by `filter`, its mask by the nearest pixel.
    pub fn resize(&mut self, [height, width]: [usize; 2], filter: Filter) -> Result<()> {
        if self.size() == [height, width] {
            return Ok(());
        }
        within(height, width)?;
        self.turn();
        self.image = resized(&self.image, self.seen, [height, width], filter)?;
        self.mask = self.mask.take().map(|mask| nearest(&mask, self.seen, [height, width]));
        self.seen = Rect { top: 0, left: 0, height, width };
        Ok(())
    }

    /// Adds rows and columns around what is seen, of the number `fill` in the image and `mask_fill` in its mask.
    pub fn pad(&mut self, [top, left, bottom, right]: [usize; 4], fill: u8, mask_fill: u8) -> Result<()> {
        if [top, left, bottom, right] == [0; 4] {
            return Ok(());
        }
        let height = self.seen.height.saturating_add(top).saturating_add(bottom);
        let width = self.seen.width.saturating_add(left).saturating_add(right);
        within(height, width)?;
        self.turn();
        let seen = self.seen;
        let padded = |picture: &Picture, fill: u8| {
            let each = picture.channels;
            let mut pixels = vec![fill; height * width * each];
            let rows = pixels.chunks_exact_mut(width * each).skip(top);
            for (into, from) in rows.zip(lines(picture, seen)) {
                into[left * each..(left + seen.width) * each].copy_from_slice(from);
            }
            Picture { pixels, height, width, channels: each }
        };
        self.image = padded(&self.image, fill);
        self.mask = self.mask.take().map(|mask| padded(&mask, mask_fill));
        self.seen = Rect { top: 0, left: 0, height, width };
        Ok(())
    }

    /// The image and its mask as they are seen.
    pub fn finish(mut self) -> (Picture, Option<Picture>) {
        self.turn();
        let cut = |picture: Picture| {
            let Rect { height, width, .. } = self.seen;
            if picture.size() == [height, width] {
                return picture;
            }
            let channels = picture.channels;
            Picture {
                pixels: lines(&picture, self.seen).flatten().copied().collect(),
                height,
                width,
                channels,
            }
        };
        (cut(self.image), self.mask.map(cut))
    }

    /// The image, its mask, what is seen of them, and whether it is flipped: horizontally, vertically.
    pub(super) fn parts(self) -> (Picture, Option<Picture>, Rect, [bool; 2]) {
        (self.image, self.mask, self.seen, self.flipped)
    }

    /// Flips the pixels themselves.
    fn turn(&mut self) {
        let [horizontal, vertical] = std::mem::take(&mut self.flipped);
        if !horizontal && !vertical {
            return;
        }
        let seen = self.seen;
        for picture in std::iter::once(&mut self.image).chain(self.mask.as_mut()) {
            let mut rows: Vec<&[u8]> = lines(picture, seen).collect();
            if vertical {
                rows.reverse();
            }
            let mut pixels = Vec::with_capacity(seen.height * seen.width * picture.channels);
            for row in rows {
                if horizontal {
                    pixels.extend(row.rchunks_exact(picture.channels).flatten());
                } else {
                    pixels.extend_from_slice(row);
                }
            }
            *picture = Picture { pixels, height: seen.height, width: seen.width, channels: picture.channels };
        }
        self.seen = Rect { top: 0, left: 0, ..seen };
    }
}

fn within(height: usize, width: usize) -> Result<()> {
    match height.checked_mul(width) {
        Some(pixels) if (1..=MOST_PIXELS).contains(&pixels) => Ok(()),
        _ => Err(format!("an image of height {height} and width {width} was asked for; 1 to {MOST_PIXELS} pixels can be made").into()),
    }
}
