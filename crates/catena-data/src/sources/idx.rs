//! IDX files, the format of MNIST, plain or compressed with gzip.
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Rows;
use crate::Result;
use crate::array::{Array, Values};

/// Reads an IDX file, as <http://yann.lecun.com/exdb/mnist/> has it: plain, or compressed with gzip, which is seen by its first bytes. All numbers
/// are read into memory, in the file's dtype (u8, i8, i16, i32, f32, f64) and shape.
///
/// It is an error, with the file's path, if the file is no IDX file, or has fewer or more bytes than its header says. No memory is taken on the
/// word of a header.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Images and labels of two IDX files as `input` (in the dtype of the file, shape of an image) and `target` (i64, one number).
///
/// ```no_run
/// use catena_data::{Dataset, sources::idx_pair};
///
/// let train = idx_pair("mnist/train-images-idx3-ubyte.gz", "mnist/train-labels-idx1-ubyte.gz")?;
/// assert_eq!(train.len(), 60_000);
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub fn idx_pair(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Rows> {
    let (images, labels) = (images.as_ref(), labels.as_ref());
    let target = read_idx(labels)?;
    let target: Vec<i64> = match (target.shape().len(), target.values()) {
        (1, Values::U8(all)) => all.iter().map(|label| i64::from(*label)).collect(),
        (1, Values::I8(all)) => all.iter().map(|label| i64::from(*label)).collect(),
        (1, Values::I16(all)) => all.iter().map(|label| i64::from(*label)).collect(),
        (1, Values::I32(all)) => all.iter().map(|label| i64::from(*label)).collect(),
        _ => {
            let (kind, shape) = (target.kind(), target.shape());
            return Err(format!(
                "{}: labels are whole numbers in one dimension, but the file has {kind:?} of the shape {shape:?}",
                labels.display()
            )
            .into());
        }
    };
    let rows = Rows::new("input", read_idx(images)?)?.with("target", target);
    let rows = rows.map_err(|error| format!("{} and {}: {error}", images.display(), labels.display()))?;
    Ok(rows.from(images.display().to_string()))
}

fn read(path: &Path) -> Result<Array> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start)?;
    let rest = io::Cursor::new(start.clone()).chain(file);
    if start == [0x1f, 0x8b] {
        parse(BufReader::new(MultiGzDecoder::new(BufReader::new(rest))), None)
    } else {
        parse(BufReader::new(rest), Some(length))
    }
}

/// `length` is the file's, if it is known before all is read.
fn parse(mut from: impl Read, length: Option<u64>) -> Result<Array> {
    let mut magic = [0; 4];
    header(&mut from, &mut magic)?;
    let [0, 0, code, dimensions] = magic else {
        return Err(format!("not an IDX file: it begins with {magic:02x?}, not with two zeros").into());
    };
    let each: u64 = match code {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return Err(format!("not an IDX file: {code:#04x} is no dtype of the format").into()),
    };
    if dimensions == 0 {
        return Err("the header names no dimension".into());
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let mut size = [0; 4];
        header(&mut from, &mut size)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let bytes = shape.iter().try_fold(each, |all, size| all.checked_mul(*size as u64));
    let bytes = bytes.filter(|bytes| *bytes < u64::MAX - 2048);
    let bytes = bytes.ok_or_else(|| format!("the header's shape {shape:?} is larger than any file"))?;
    let told = |there: &str| {
        format!(
            "the header tells of {bytes} bytes of numbers (shape {shape:?}), but there are {there}: the file is cut off or damaged"
        )
    };
    if let Some(length) = length {
        let there = length.saturating_sub(4 + 4 * u64::from(dimensions));
        if there != bytes {
            return Err(told(&there.to_string()).into());
        }
    }
    let mut numbers = Vec::new();
    from.take(bytes + 1).read_to_end(&mut numbers)?;
    if numbers.len() as u64 != bytes {
        let more = numbers.len() as u64 > bytes;
        return Err(told(&if more { "more".to_owned() } else { numbers.len().to_string() }).into());
    }
    let (twos, fours, eights) =
        (numbers.as_chunks::<2>().0, numbers.as_chunks::<4>().0, numbers.as_chunks::<8>().0);
    let array: Array = match code {
        0x09 => numbers.iter().map(|byte| byte.cast_signed()).collect(),
        0x0b => twos.iter().map(|number| i16::from_be_bytes(*number)).collect(),
        0x0c => fours.iter().map(|number| i32::from_be_bytes(*number)).collect(),
        0x0d => fours.iter().map(|number| f32::from_be_bytes(*number)).collect(),
        0x0e => eights.iter().map(|number| f64::from_be_bytes(*number)).collect(),
        _ => numbers.into(),
    };
    array.reshape(shape)
}

fn header(from: &mut impl Read, into: &mut [u8]) -> Result<()> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "not an IDX file: it ends within its header".into(),
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::{Dataset, Draws};

    const SIX: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn of(bytes: &[u8]) -> Result<Array> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.idx");
        std::fs::write(&path, bytes).unwrap();
        read_idx(path)
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_numbers() {
        let array = of(&SIX).unwrap();
        assert_eq!((array.shape(), array.as_slice::<u8>().unwrap()), (&[2, 3][..], &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(of(&gz(&SIX)).unwrap(), array);
        let mut halves = gz(&SIX[..9]);
        halves.extend(gz(&SIX[9..]));
        assert_eq!(of(&halves).unwrap(), array);
    }

    #[test]
    fn numbers_are_read_with_the_most_significant_byte_first() {
        let file = [&[0, 0, 0x0d, 1, 0, 0, 0, 1][..], &1.5_f32.to_be_bytes()].concat();
        assert_eq!(of(&file).unwrap().as_slice::<f32>().unwrap(), [1.5]);
        let file = [&[0, 0, 0x0b, 1, 0, 0, 0, 1][..], &(-2_i16).to_be_bytes()].concat();
        assert_eq!(of(&file).unwrap().as_slice::<i16>().unwrap(), [-2]);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_name_and_what_is_wrong() {
        let huge = [&[0, 0, 8, 3][..], &[0xff; 12], &[1]].concat();
        let vast = [&[0, 0, 8, 2][..], &[0x7f, 0, 0, 0, 0x7f, 0, 0, 0], &[1]].concat();
        let longer = [&SIX[..], &[7]].concat();
        for (bytes, sentence) in [
            (SIX[..17].to_vec(), "but there are 5"),
            (longer.clone(), "but there are 7"),
            (SIX[..6].to_vec(), "ends within its header"),
            (Vec::new(), "ends within its header"),
            (b"\x89PNG....".to_vec(), "not with two zeros"),
            (vec![0, 0, 7, 1, 0, 0, 0, 0], "0x07 is no dtype"),
            (vec![0, 0, 8, 0], "no dimension"),
            (huge, "larger than any file"),
            (vast, "but there are 1"),
        ] {
            let error = of(&bytes).unwrap_err().to_string();
            assert!(error.contains(sentence) && error.contains("some.idx"), "{error}");
            let error = of(&gz(&bytes)).unwrap_err().to_string();
            let sentence = if bytes == longer { "but there are more" } else { sentence };
            assert!(error.contains(sentence) && error.contains("some.idx"), "{error}");
        }
        let whole = gz(&SIX);
        assert!(of(&whole[..whole.len() - 9]).unwrap_err().to_string().contains("some.idx"));
    }

    #[test]
    fn images_and_labels_are_rows_together_and_unequal_numbers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [images, labels, short] = ["images", "labels", "short"].map(|name| folder.path().join(name));
        std::fs::write(&images, SIX).unwrap();
        std::fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 5, 9]).unwrap();
        std::fs::write(&short, [0, 0, 8, 1, 0, 0, 0, 1, 5]).unwrap();
        let rows = idx_pair(&images, &labels).unwrap();
        let sample = rows.get(1, &mut Draws::new(Default::default(), 1, 0)).unwrap();
        assert_eq!(sample.get("target").unwrap(), &Array::from(9_i64));
        assert!(rows.origin(1).unwrap().ends_with("images, row 1"));
        let error = idx_pair(&images, &short).unwrap_err().to_string();
        assert!(error.contains("short: `target` has 1 rows, but `input` has 2"), "{error}");
        let error = idx_pair(&images, &images).unwrap_err().to_string();
        assert!(error.contains("labels are whole numbers in one dimension"), "{error}");
    }
}
