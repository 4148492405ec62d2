//! Folders of images, one for each class.
use std::path::{Path, PathBuf};

use super::image_files::{folders, image_files, names_sha256};
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::images::{Decode, ImageTransforms};
use crate::order::settings;
use crate::sample::Sample;
use crate::{Result, Settings};

/// The images in a folder of folders, one for each class, as torchvision's `ImageFolder`: `input` (what the transforms give) and `target` (i64, the number of the class). Classes are numbered by the bytes of their names,
/// images by class and then by the bytes of their paths, so that all machines have the same order. Hidden names are neither classes nor images. Made by [`ImageFolder::builder`].
///
/// ```no_run
/// use catena_data::images::{CenterCrop, ImageTransforms, RandomHorizontalFlip, RandomResizedCrop, Resize};
/// use catena_data::sources::ImageFolder;
///
/// let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// let crops = ImageTransforms::builder().with(RandomResizedCrop::new(224, 224)).with(RandomHorizontalFlip::new());
/// let train = ImageFolder::builder("flowers/train", crops.normalize(mean, std).build()?).build()?;
/// let middle = ImageTransforms::builder().with(Resize::shorter(256)).with(CenterCrop::new(224, 224));
/// let valid = ImageFolder::builder("flowers/valid", middle.normalize(mean, std).build()?).classes(train.classes()).build()?;
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    transforms: ImageTransforms,
    decode: Decode,
    classes: Vec<String>,
    files: Vec<(PathBuf, i64)>,
    files_sha256: String,
}

/// How a folder of images is read.
#[derive(Clone, Debug)]
pub struct ImageFolderBuilder {
    root: PathBuf,
    transforms: ImageTransforms,
    decode: Decode,
    classes: Option<Vec<String>>,
}

impl ImageFolder {
    /// Begins with a folder, and what is made of its images.
    pub fn builder(root: impl AsRef<Path>, transforms: ImageTransforms) -> ImageFolderBuilder {
        ImageFolderBuilder {
            root: root.as_ref().to_owned(),
            transforms,
            decode: Decode::new(),
            classes: None,
        }
    }

    /// The classes: number `n` stands for class `n`.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The images' paths and the numbers of their classes, in the order of the samples.
    pub fn files(&self) -> &[(PathBuf, i64)] {
        &self.files
    }

    /// The transforms.
    pub const fn transforms(&self) -> &ImageTransforms {
        &self.transforms
    }
}

impl ImageFolderBuilder {
    /// The classes of the data that trains, in their order, for the data that validates: numbers then mean the same, and a folder of another name is an error. A class without a folder is none.
    #[must_use]
    pub fn classes(self, classes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { classes: Some(classes.into_iter().map(Into::into).collect()), ..self }
    }

    /// How the files are read (default: [`Decode::new`]).
    #[must_use]
    pub fn decode(self, decode: Decode) -> Self {
        Self { decode, ..self }
    }

    /// Looks for the images; none is read. It is an error, with the path, if there is no folder of a class, if one has no image, or if its class is unknown.
    pub fn build(self) -> Result<ImageFolder> {
        let Self { root, transforms, decode, classes } = self;
        let found = folders(&root)?;
        if found.is_empty() {
            return Err(format!(
                "{}: no folder of a class lies in it: images lie in `root/class/image.jpg`",
                root.display()
            )
            .into());
        }
        let classes = match classes {
            Some(classes) => {
                for (at, class) in classes.iter().enumerate() {
                    if classes[..at].contains(class) {
                        return Err(format!("the class `{class}` is given twice").into());
                    }
                }
                classes
            }
            None => found.iter().map(|(name, _)| name.clone()).collect(),
        };
        let mut files = Vec::new();
        for (name, folder) in found {
            let Some(number) = classes.iter().position(|class| *class == name) else {
                return Err(format!(
                    "{}: the class `{name}` is unknown; there are: {}",
                    folder.display(),
                    classes.join(", ")
                )
                .into());
            };
            let images = image_files(&folder)?;
            if images.is_empty() {
                return Err(format!(
                    "{}: the class has no image (.jpg, .jpeg, .png): add some, or remove the folder",
                    folder.display()
                )
                .into());
            }
            files.extend(images.into_iter().map(|path| (path, number as i64)));
        }
        let files_sha256 = names_sha256(&root, files.iter().map(|(path, _)| path));
        Ok(ImageFolder { transforms, decode, classes, files, files_sha256 })
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> u64 {
        self.files.len() as u64
    }

    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        let file = usize::try_from(index).ok().and_then(|at| self.files.get(at));
        let (path, class) =
            file.ok_or_else(|| format!("there is no image {index}: the images end at {}", self.files.len()))?;
        let image = self.decode.read(path)?;
        let input = self.transforms.apply(image, draws);
        let input = input.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Sample::new().with("input", input).with("target", *class))
    }

    fn describe(&self) -> Settings {
        settings([
            ("classes", self.classes.clone().into()),
            ("files_sha256", self.files_sha256.clone().into()),
            ("decode", self.decode.describe()),
            ("transforms", self.transforms.describe()),
        ])
    }

    fn origin(&self, index: u64) -> Option<String> {
        let (path, _) = self.files.get(usize::try_from(index).ok()?)?;
        Some(path.display().to_string())
    }
}

#[cfg(test)]
mod tests;
