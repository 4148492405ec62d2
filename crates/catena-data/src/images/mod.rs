//! From an image's file to an array: decoding, and what changes the image on the way.
//!
//! [`Decode`] reads a JPEG or PNG file as a [`Picture`], and [`ImageTransforms`] makes an array of it, for a mask beside it by the same draw. JPEG is decoded in Rust by
//! `zune-jpeg` (libjpeg-turbo is not offered: building it needs cmake and nasm): its pixels differ from libjpeg's by a few levels, which is within what the format leaves open.
mod crop;
mod decode;
mod draw;
mod erase;
mod flip;
mod frame;
mod jpeg;
mod mask;
mod output;
mod picture;
mod rect;
mod resample;
mod resize;
mod resized_crop;
mod transform;
mod transforms;

pub use crop::{CenterCrop, RandomCrop};
pub use decode::Decode;
pub use erase::RandomErasing;
pub use flip::{RandomHorizontalFlip, RandomVerticalFlip};
pub use frame::Frame;
pub use mask::read_mask;
pub use picture::Picture;
pub use rect::Rect;
pub use resample::Filter;
pub use resize::Resize;
pub use resized_crop::RandomResizedCrop;
pub use transform::Transform;
pub use transforms::{ImageTransforms, ImageTransformsBuilder};

#[cfg(test)]
mod tests;
