//! The binary files of CIFAR-10 and CIFAR-100.
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Rows;
use crate::array::Array;
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::sample::Sample;
use crate::{Result, Settings};

const PIXELS: usize = 3 * 32 * 32;

/// The images of CIFAR-10 or CIFAR-100 in memory, in the binary version of <https://www.cs.toronto.edu/~kriz/cifar.html>: `input` (u8, `[3, 32, 32]`: red, green,
/// blue) and `target` (i64, one number); for CIFAR-100 `coarse` (i64) as well, the number of the superclass.
///
/// ```no_run
/// use catena_data::{Dataset, sources::Cifar};
///
/// let files = (1..=5).map(|n| format!("cifar-10-batches-bin/data_batch_{n}.bin"));
/// let train = Cifar::ten(files)?;
/// let valid = Cifar::ten(["cifar-10-batches-bin/test_batch.bin"])?;
/// assert_eq!((train.len(), valid.len()), (50_000, 10_000));
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cifar {
    rows: Rows,
    /// Each file, and the first row of the next.
    files: Vec<(PathBuf, u64)>,
}

impl Cifar {
    /// Reads files of CIFAR-10, in this order. It is an error, with the path, if there is no file, if one holds no whole number of images (a label and 3,072 pixels), or if a label is above 9.
    pub fn ten(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        Self::read(files, &[("target", 10)])
    }

    /// Reads files of CIFAR-100, in this order. It is an error, with the path, if there is no file, if one holds no whole number of images (two labels and 3,072 pixels), or if a label
    /// is above 99, or one of a superclass above 19.
    pub fn hundred(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        Self::read(files, &[("coarse", 20), ("target", 100)])
    }

    fn read(
        paths: impl IntoIterator<Item = impl AsRef<Path>>,
        labels: &[(&'static str, u8)],
    ) -> Result<Self> {
        let each = labels.len() + PIXELS;
        let (mut pixels, mut files) = (Vec::new(), Vec::new());
        let mut numbers = vec![Vec::new(); labels.len()];
        for path in paths {
            let path = path.as_ref();
            let at = |error: std::io::Error| format!("{}: {error}", path.display());
            let mut file = File::open(path).map_err(at)?;
            let length = file.metadata().map_err(at)?.len();
            if length == 0 || length % each as u64 != 0 {
                return Err(format!(
                    "{}: {length} bytes are no whole number of images of {each} bytes: the file is cut off, or no binary file of this CIFAR",
                    path.display()
                )
                .into());
            }
            let mut image = vec![0; each];
            for row in 0..length / each as u64 {
                file.read_exact(&mut image).map_err(at)?;
                for (((name, classes), into), label) in labels.iter().zip(&mut numbers).zip(&image) {
                    if label >= classes {
                        return Err(format!(
                            "{}, image {row}: its `{name}` is {label}, but the classes are 0 to {}",
                            path.display(),
                            classes - 1
                        )
                        .into());
                    }
                    into.push(i64::from(*label));
                }
                pixels.extend_from_slice(&image[labels.len()..]);
            }
            files.push((path.to_owned(), numbers[0].len() as u64));
        }
        if files.is_empty() {
            return Err("no file of CIFAR is named: give at least one".into());
        }
        let input = Array::from(pixels).reshape([numbers[0].len(), 3, 32, 32])?;
        let mut rows = Rows::new("input", input)?;
        for ((name, _), numbers) in labels.iter().zip(numbers).rev() {
            rows = rows.with(*name, numbers)?;
        }
        Ok(Self { rows, files })
    }
}

impl Dataset for Cifar {
    fn len(&self) -> u64 {
        self.rows.len()
    }

    fn get(&self, index: u64, draws: &mut Draws) -> Result<Sample> {
        self.rows.get(index, draws)
    }

    fn describe(&self) -> Settings {
        self.rows.describe()
    }

    fn origin(&self, index: u64) -> Option<String> {
        let at = self.files.partition_point(|(_, end)| *end <= index);
        let first = at.checked_sub(1).map_or(0, |before| self.files[before].1);
        let (path, _) = self.files.get(at)?;
        Some(format!("{}, image {}", path.display(), index - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(labels: &[u8], first: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|at| if at == 0 { first } else { (at / 1024) as u8 });
        labels.iter().copied().chain(pixels).collect()
    }

    #[test]
    fn labels_and_planes_of_all_files_are_rows_in_the_order_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one.bin", "two.bin"].map(|name| folder.path().join(name));
        std::fs::write(&one, [image(&[9], 200), image(&[0], 201)].concat()).unwrap();
        std::fs::write(&two, image(&[4], 202)).unwrap();
        let set = Cifar::ten([&one, &two]).unwrap();
        assert_eq!(set.len(), 3);
        let expected =
            [(9, 200, "one.bin, image 0"), (0, 201, "one.bin, image 1"), (4, 202, "two.bin, image 0")];
        for (index, (label, first, origin)) in expected.into_iter().enumerate() {
            let sample = set.get(index as u64, &mut Draws::new(Default::default(), 0, 0)).unwrap();
            assert_eq!(sample.get("target").unwrap(), &Array::from(label as i64));
            let input = sample.get("input").unwrap();
            assert_eq!(input.shape(), [3, 32, 32]);
            let pixels = input.as_slice::<u8>().unwrap();
            assert_eq!((pixels[0], pixels[1], pixels[1024], pixels[2048]), (first, 0, 1, 2));
            assert!(set.origin(index as u64).unwrap().ends_with(origin));
        }
        assert_eq!(set.origin(3), None);
    }

    #[test]
    fn cifar_100_has_the_superclass_beside_the_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.bin");
        std::fs::write(&path, image(&[19, 99], 1)).unwrap();
        let sample =
            Cifar::hundred([&path]).unwrap().get(0, &mut Draws::new(Default::default(), 0, 0)).unwrap();
        assert_eq!(sample.get("coarse").unwrap(), &Array::from(19_i64));
        assert_eq!(sample.get("target").unwrap(), &Array::from(99_i64));
    }

    #[test]
    fn a_broken_file_is_refused_with_its_name_and_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.bin");
        for (bytes, sentence) in [
            (image(&[1], 0)[..3000].to_vec(), "batch.bin: 3000 bytes are no whole number of images of 3073"),
            (Vec::new(), "batch.bin: 0 bytes are no whole number"),
            (image(&[1, 2], 0), "batch.bin: 3074 bytes are no whole number of images of 3073"),
            (
                [image(&[1], 0), image(&[10], 0)].concat(),
                "batch.bin, image 1: its `target` is 10, but the classes are 0 to 9",
            ),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Cifar::ten([&path]).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
        std::fs::write(&path, image(&[20, 1], 0)).unwrap();
        let error = Cifar::hundred([&path]).unwrap_err().to_string();
        assert!(error.contains("its `coarse` is 20"), "{error}");
        assert!(Cifar::ten([] as [&str; 0]).unwrap_err().to_string().contains("give at least one"));
    }
}
