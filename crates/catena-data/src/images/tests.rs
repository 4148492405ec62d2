//! Images against Pillow and torchvision (`tests/fixtures/make_images.py`), and laws of the chain.
use serde_json::Value;

use super::resample::resized;
use super::*;
use crate::{Array, Draws, Result};

mod convolution;
mod laws;
mod pillow;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/images.json")).unwrap()
}

fn numbers<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// The bytes of the linear generator that make_images.py has too.
fn noise(size: [usize; 3], seed: u32) -> Picture {
    let mut state = seed;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Picture::new((0..size.iter().product::<usize>()).map(step).collect(), size).unwrap()
}

fn draws(sample: u64) -> Draws {
    Draws::new(Default::default(), sample, 0)
}

fn whole([height, width]: [usize; 2]) -> Rect {
    Rect { top: 0, left: 0, height, width }
}

/// The greatest difference of two pixels.
fn apart(one: &[u8], other: &[u8]) -> u8 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

fn bytes(step: impl Transform + 'static, picture: Picture) -> Result<Array> {
    ImageTransforms::builder().with(step).bytes().build()?.apply(picture, &mut draws(0))
}
