//! Images with a mask for each.
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::image_files::{image_files, names_sha256};
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::images::{Decode, ImageTransforms, read_mask};
use crate::order::settings;
use crate::sample::Sample;
use crate::{Result, Settings};

/// Images in one folder and their masks in another, for segmentation: `input` (what the transforms give) and `target` (i64, `[height, width]`, the class of each pixel), changed by the same draw. A mask has its image's
/// path below its folder, with the ending `.png`; how it is read says [`read_mask`]. Images are numbered by the bytes of their paths.
///
/// ```no_run
/// use catena_data::images::{ImageTransforms, RandomCrop, RandomHorizontalFlip};
/// use catena_data::sources::MaskedImages;
///
/// let transforms = ImageTransforms::builder().with(RandomCrop::new(256, 256)).with(RandomHorizontalFlip::new());
/// let train = MaskedImages::new("streets/images", "streets/masks", transforms.build()?)?;
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaskedImages {
    transforms: ImageTransforms,
    decode: Decode,
    /// Images and their masks.
    files: Vec<(PathBuf, PathBuf)>,
    files_sha256: String,
}

impl MaskedImages {
    /// Looks for images and masks; none is read. It is an error, with the path, if there is no image, an image without a mask, a mask without an image, or two images of one mask.
    pub fn new(
        images: impl AsRef<Path>,
        masks: impl AsRef<Path>,
        transforms: ImageTransforms,
    ) -> Result<Self> {
        let (images, masks) = (images.as_ref(), masks.as_ref());
        let mut left = BTreeMap::new();
        for mask in image_files(masks)? {
            if mask.extension().and_then(OsStr::to_str) != Some("png") {
                return Err(format!("{}: a mask is a file of the ending `.png`", mask.display()).into());
            }
            left.insert(mask.strip_prefix(masks)?.with_extension(""), mask);
        }
        let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
        for image in image_files(images)? {
            let stem = image.strip_prefix(images)?.with_extension("");
            let Some(mask) = left.remove(&stem) else {
                let two =
                    files.iter().find(|(other, _)| other.with_extension("") == image.with_extension(""));
                return Err(match two {
                    Some((other, _)) => format!(
                        "{} and {} have one mask: give one of them another name",
                        other.display(),
                        image.display()
                    ),
                    None => format!(
                        "{}: the image has no mask: `{}.png` is not in {}",
                        image.display(),
                        stem.display(),
                        masks.display()
                    ),
                }
                .into());
            };
            files.push((image, mask));
        }
        if files.is_empty() {
            return Err(format!("{}: no image (.jpg, .jpeg, .png) lies in it", images.display()).into());
        }
        if let Some(mask) = left.values().next() {
            return Err(format!("{}: the mask has no image in {}", mask.display(), images.display()).into());
        }
        let files_sha256 = names_sha256(images, files.iter().map(|(image, _)| image));
        Ok(Self { transforms, decode: Decode::new(), files, files_sha256 })
    }

    /// How the images are read (default: [`Decode::new`]); a mask is read as it stands.
    #[must_use]
    pub fn decode(self, decode: Decode) -> Self {
        Self { decode, ..self }
    }
}

impl Dataset for MaskedImages {
    fn len(&self) -> u64 {
        self.files.len() as u64
    }

    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        let pair = usize::try_from(index).ok().and_then(|at| self.files.get(at));
        let (image, mask) =
            pair.ok_or_else(|| format!("there is no image {index}: the images end at {}", self.files.len()))?;
        let both = self.transforms.apply_with_mask(self.decode.read(image)?, read_mask(mask)?, draws);
        let (input, target) =
            both.map_err(|error| format!("{}, {}: {error}", image.display(), mask.display()))?;
        Ok(Sample::new().with("input", input).with("target", target))
    }

    fn describe(&self) -> Settings {
        settings([
            ("files_sha256", self.files_sha256.clone().into()),
            ("decode", self.decode.describe()),
            ("transforms", self.transforms.describe()),
        ])
    }

    fn origin(&self, index: u64) -> Option<String> {
        let (image, _) = self.files.get(usize::try_from(index).ok()?)?;
        Some(image.display().to_string())
    }
}
