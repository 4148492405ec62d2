//! The array that an image ends in: one pass over what is seen of its pixels.
use serde_json::{Value, json};

use super::picture::Picture;
use super::rect::{Rect, lines};
use crate::Result;
use crate::array::{Array, Element};

#[derive(Clone, Debug)]
pub(super) enum Output {
    /// As it was: u8.
    Bytes,
    /// Between 0 and 1.
    Unit,
    /// With mean and std of each channel.
    Normalized { mean: Vec<f32>, std: Vec<f32> },
}

impl Output {
    pub(super) fn normalized(mean: Vec<f32>, std: Vec<f32>) -> Result<Self> {
        if mean.len() != std.len() || ![1, 3].contains(&mean.len()) {
            return Err(format!(
                "Normalize: {} means and {} stds were given: as many of each are needed, 1 or one for each of 3 channels",
                mean.len(),
                std.len()
            )
            .into());
        }
        if let Some(number) = mean.iter().chain(&std).find(|number| !number.is_finite()) {
            return Err(format!("Normalize: {number} was given: finite numbers are needed").into());
        }
        if let Some(number) = std.iter().find(|number| **number <= 0.0) {
            return Err(format!("Normalize: a std of {number} was given: numbers above 0 are needed").into());
        }
        Ok(Self::Normalized { mean, std })
    }

    pub(super) fn describe(&self) -> Value {
        match self {
            Self::Bytes => json!({ "name": "Bytes" }),
            Self::Unit => json!({ "name": "Unit" }),
            Self::Normalized { mean, std } => json!({ "name": "Normalize", "mean": mean, "std": std }),
        }
    }

    /// The number of each byte, by channel: in the steps in which torchvision computes it.
    fn table(&self, channels: usize) -> Result<Vec<[f32; 256]>> {
        let unit: [f32; 256] = std::array::from_fn(|byte| byte as f32 / 255.0);
        match self {
            Self::Bytes | Self::Unit => Ok(vec![unit; channels]),
            Self::Normalized { mean, std } => {
                if ![1, channels].contains(&mean.len()) {
                    return Err(format!(
                        "Normalize: {} means were given, but the image has {channels} channels",
                        mean.len()
                    )
                    .into());
                }
                let of = |list: &[f32], channel: usize| list[if list.len() == 1 { 0 } else { channel }];
                Ok((0..channels)
                    .map(|channel| unit.map(|number| (number - of(mean, channel)) / of(std, channel)))
                    .collect())
            }
        }
    }
}

/// Channel by channel, row by row.
pub(super) fn array(
    picture: &Picture,
    seen: Rect,
    flipped: [bool; 2],
    output: &Output,
    erased: Option<(Rect, f32)>,
) -> Result<Array> {
    let channels = picture.channels;
    let shape = [channels, seen.height, seen.width];
    if let Output::Bytes = output {
        let mut numbers = vec![0; shape.iter().product()];
        planes(picture, seen, flipped, &mut numbers, |_, byte| byte);
        erase(&mut numbers, shape, erased.map(|(part, value)| (part, value as u8)));
        return Array::from(numbers).reshape(shape);
    }
    let table = output.table(channels)?;
    let mut numbers = vec![0.0; shape.iter().product()];
    planes(picture, seen, flipped, &mut numbers, |channel, byte| table[channel][usize::from(byte)]);
    erase(&mut numbers, shape, erased);
    Array::from(numbers).reshape(shape)
}

/// The classes of a mask's pixels.
pub(super) fn classes(mask: &Picture, seen: Rect, flipped: [bool; 2]) -> Result<Array> {
    let mut numbers = vec![0; seen.height * seen.width];
    planes(mask, seen, flipped, &mut numbers, |_, byte| i64::from(byte));
    Array::from(numbers).reshape([seen.height, seen.width])
}

fn planes<T: Element>(
    picture: &Picture,
    seen: Rect,
    [horizontal, vertical]: [bool; 2],
    into: &mut [T],
    number: impl Fn(usize, u8) -> T,
) {
    let (channels, plane) = (picture.channels, seen.height * seen.width);
    for (at, row) in lines(picture, seen).enumerate() {
        let at = if vertical { seen.height - 1 - at } else { at };
        for channel in 0..channels {
            let start = channel * plane + at * seen.width;
            let into = &mut into[start..start + seen.width];
            let bytes = row.chunks_exact(channels).map(|pixel| pixel[channel]);
            if horizontal {
                into.iter_mut().rev().zip(bytes).for_each(|(into, byte)| *into = number(channel, byte));
            } else {
                into.iter_mut().zip(bytes).for_each(|(into, byte)| *into = number(channel, byte));
            }
        }
    }
}

fn erase<T: Copy>(numbers: &mut [T], [_, height, width]: [usize; 3], erased: Option<(Rect, T)>) {
    let Some((part, value)) = erased else { return };
    for plane in numbers.chunks_exact_mut(height * width) {
        for row in plane.chunks_exact_mut(width).skip(part.top).take(part.height) {
            row[part.left..part.left + part.width].fill(value);
        }
    }
}
