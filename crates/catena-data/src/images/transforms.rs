//! Transforms in a row, and the array that they end in.
use std::sync::Arc;

use serde_json::Value;

use super::erase::RandomErasing;
use super::frame::Frame;
use super::output::{Output, array, classes};
use super::picture::Picture;
use super::transform::Transform;
use crate::array::Array;
use crate::draws::Draws;
use crate::{Result, Settings};

/// Transforms in a row, and the array that they end in: f32 of the shape `[channels, height, width]` between 0 and 1, or normalized, or u8 as it was; made by [`ImageTransforms::builder`].
///
/// Crops and flips move no pixel: only a [`Resize`](super::Resize) and the array at the end read them.
///
/// ```
/// use catena_data::Draws;
/// use catena_data::images::{ImageTransforms, Picture, RandomHorizontalFlip, RandomResizedCrop};
///
/// let train = ImageTransforms::builder()
///     .with(RandomResizedCrop::new(8, 8))
///     .with(RandomHorizontalFlip::new())
///     .normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
///     .build()?;
/// let picture = Picture::new((0..12 * 10 * 3).map(|at| at as u8).collect(), [12, 10, 3])?;
/// let array = train.apply(picture, &mut Draws::new(Default::default(), 7, 0))?;
/// assert_eq!(array.shape(), [3, 8, 8]);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageTransforms {
    steps: Vec<Arc<dyn Transform>>,
    output: Output,
    erasing: Option<RandomErasing>,
}

/// What [`ImageTransforms`] are made of.
#[derive(Clone, Debug, Default)]
pub struct ImageTransformsBuilder {
    steps: Vec<Arc<dyn Transform>>,
    normalize: Option<(Vec<f32>, Vec<f32>)>,
    bytes: bool,
    erasing: Option<RandomErasing>,
}

impl ImageTransforms {
    /// Begins without a transform.
    pub fn builder() -> ImageTransformsBuilder {
        ImageTransformsBuilder::default()
    }

    /// The array of an image: `[channels, height, width]`.
    pub fn apply(&self, image: Picture, draws: &mut Draws) -> Result<Array> {
        Ok(self.run(Frame::new(image, None)?, draws)?.0)
    }

    /// The arrays of an image, and of its mask by the same draw: i64 of the shape `[height, width]`.
    pub fn apply_with_mask(
        &self,
        image: Picture,
        mask: Picture,
        draws: &mut Draws,
    ) -> Result<(Array, Array)> {
        let (image, mask) = self.run(Frame::new(image, Some(mask))?, draws)?;
        Ok((image, mask.ok_or("the mask is gone")?))
    }

    /// The transforms by name, with their settings, in their order.
    pub fn describe(&self) -> Value {
        let named = |name: &str, mut settings: Settings| {
            settings.insert("name".to_owned(), name.into());
            Value::Object(settings)
        };
        let steps = self.steps.iter().map(|step| named(step.name(), step.settings()));
        let erasing = self.erasing.iter().map(|erasing| named("RandomErasing", erasing.settings()));
        steps.chain([self.output.describe()]).chain(erasing).collect()
    }

    fn run(&self, mut frame: Frame, draws: &mut Draws) -> Result<(Array, Option<Array>)> {
        for step in &self.steps {
            step.apply(&mut frame, draws).map_err(|error| format!("{}: {error}", step.name()))?;
        }
        let erased = self.erasing.as_ref();
        let erased = erased.and_then(|erasing| Some((erasing.part(frame.size(), draws)?, erasing.value)));
        let (image, mask, seen, flipped) = frame.parts();
        let mask = mask.map(|mask| classes(&mask, seen, flipped)).transpose()?;
        Ok((array(&image, seen, flipped, &self.output, erased)?, mask))
    }
}

impl ImageTransformsBuilder {
    /// Adds a transform behind those that are there.
    #[must_use]
    pub fn with(mut self, transform: impl Transform + 'static) -> Self {
        self.steps.push(Arc::new(transform));
        self
    }

    /// Subtracts `mean` from the numbers between 0 and 1 and divides by `std`, each channel by its own (or all by the one that is given), as torchvision's `Normalize` does after `ToTensor`, to the bit.
    #[must_use]
    pub fn normalize(self, mean: impl Into<Vec<f32>>, std: impl Into<Vec<f32>>) -> Self {
        Self { normalize: Some((mean.into(), std.into())), ..self }
    }

    /// Leaves the pixels u8, a quarter of the memory: then the model's device has to do the rest.
    #[must_use]
    pub fn bytes(self) -> Self {
        Self { bytes: true, ..self }
    }

    /// Writes a number over a part of the array.
    #[must_use]
    pub fn erase(self, erasing: RandomErasing) -> Self {
        Self { erasing: Some(erasing), ..self }
    }

    /// Checks all settings. It is an error if one can't be meant, with the transform's name.
    pub fn build(self) -> Result<ImageTransforms> {
        for step in &self.steps {
            step.check().map_err(|error| format!("{}: {error}", step.name()))?;
        }
        let output =
            match (self.bytes, self.normalize) {
                (true, Some(_)) => return Err(
                    "`bytes` leaves pixels as they are, but `normalize` changes them: leave one of them out"
                        .into(),
                ),
                (true, None) => Output::Bytes,
                (false, None) => Output::Unit,
                (false, Some((mean, std))) => Output::normalized(mean, std)?,
            };
        if let Some(erasing) = &self.erasing {
            erasing.check().map_err(|error| format!("RandomErasing: {error}"))?;
            let byte = (0.0..=255.0).contains(&erasing.value) && erasing.value.fract() == 0.0;
            if matches!(output, Output::Bytes) && !byte {
                return Err(format!(
                    "RandomErasing: `value` is {}, but the array is u8: 0 to 255",
                    erasing.value
                )
                .into());
            }
        }
        Ok(ImageTransforms { steps: self.steps, output, erasing: self.erasing })
    }
}
