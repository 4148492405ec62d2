//! The digits that ship with the repository, and MNIST's files.
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use catena::tch::{Device, Kind, Tensor};
use flate2::read::GzDecoder;

use super::BoxError;

/// Inputs and labels, to train and to validate.
pub(crate) struct Data {
    pub(crate) train: (Tensor, Tensor),
    pub(crate) valid: (Tensor, Tensor),
}

impl Data {
    /// How many numbers a sample has.
    pub(crate) fn inputs(&self) -> i64 {
        self.train.0.size()[1]
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> i64 {
        10
    }

    /// The same on a device.
    pub(crate) fn to(&self, device: Device) -> Result<Self, BoxError> {
        let to = |(x, y): &(Tensor, Tensor)| -> Result<_, BoxError> {
            Ok((x.f_to_device(device)?, y.f_to_device(device)?))
        };
        Ok(Self { train: to(&self.train)?, valid: to(&self.valid)? })
    }
}

/// The 8×8 digits, divided by 16; every fifth row validates.
pub(crate) fn digits() -> Result<Data, BoxError> {
    let compressed = include_bytes!("digits.csv.gz");
    let mut rows =
        csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(Cursor::new(compressed)));
    let (mut inputs, mut labels) = ([vec![], vec![]], [vec![], vec![]]);
    for (i, row) in rows.deserialize::<Vec<f32>>().enumerate() {
        let row = row?;
        let (label, pixels) = row.split_last().ok_or("a row without values")?;
        let part = usize::from(i % 5 == 4);
        inputs[part].extend(pixels.iter().map(|value| value / 16.0));
        labels[part].push(*label as i64);
    }
    let part = |i: usize| -> Result<_, BoxError> {
        Ok((Tensor::f_from_slice(&inputs[i])?.f_view([-1, 64])?, Tensor::f_from_slice(&labels[i])?))
    };
    Ok(Data { train: part(0)?, valid: part(1)? })
}

/// MNIST's four IDX files from a folder, plain or compressed; pixels divided by 255.
pub(crate) fn mnist(dir: &Path) -> Result<Data, BoxError> {
    let part = |name: &str| -> Result<(Tensor, Tensor), BoxError> {
        let (images, shape) = idx(dir, &format!("{name}-images-idx3-ubyte"), 3)?;
        let (labels, count) = idx(dir, &format!("{name}-labels-idx1-ubyte"), 1)?;
        if shape[0] != count[0] {
            return Err(format!(
                "{}: {} images of `{name}`, but {} labels",
                dir.display(),
                shape[0],
                count[0]
            )
            .into());
        }
        let images = Tensor::f_from_slice(&images)?.f_view([shape[0], -1])?.f_to_kind(Kind::Float)? / 255.0;
        Ok((images, Tensor::f_from_slice(&labels)?.f_to_kind(Kind::Int64)?))
    };
    Ok(Data { train: part("train")?, valid: part("t10k")? })
}

/// The bytes and the shape of an IDX file of unsigned bytes.
fn idx(dir: &Path, name: &str, dimensions: usize) -> Result<(Vec<u8>, Vec<i64>), BoxError> {
    let (path, bytes) = read(dir, name)?;
    let wrong = |why: String| format!("{}: {why}; fetch the file again", path.display());
    let header = 4 + 4 * dimensions;
    if bytes.len() < header || bytes[..4] != [0, 0, 8, dimensions as u8] {
        return Err(wrong(format!("not an IDX file of bytes with {dimensions} dimensions")).into());
    }
    let number = |place: &[u8]| place.iter().fold(0i64, |number, byte| number << 8 | i64::from(*byte));
    let shape: Vec<i64> = bytes[4..header].chunks(4).map(number).collect();
    let expected = shape.iter().try_fold(1i64, |product, n| product.checked_mul(*n));
    let found = (bytes.len() - header) as i64;
    if expected != Some(found) {
        let expected = expected.map_or("more than can be".into(), |n| n.to_string());
        return Err(wrong(format!(
            "its header promises {expected} values, but it holds {found}: it is truncated or damaged"
        ))
        .into());
    }
    Ok((bytes[header..].to_vec(), shape))
}

fn read(dir: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), BoxError> {
    let (plain, compressed) = (dir.join(name), dir.join(format!("{name}.gz")));
    let (path, is_plain) = if plain.exists() { (plain, true) } else { (compressed, false) };
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no {name} (nor {name}.gz) in {}", dir.display()),
        _ => format!("{} can't be read: {error}", path.display()),
    };
    let mut file = File::open(&path).map_err(wrong)?;
    let mut bytes = Vec::new();
    if is_plain { file.read_to_end(&mut bytes) } else { GzDecoder::new(file).read_to_end(&mut bytes) }
        .map_err(wrong)?;
    Ok((path, bytes))
}
