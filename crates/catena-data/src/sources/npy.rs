//! Arrays in NumPy's format `.npy`.
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::Result;
use crate::array::Array;

mod header;

use header::Header;

/// Reads a file of `numpy.save` into memory, in its dtype and shape: `f4`, `f8`, `i1`, `i2`, `i4`, `i8` (little-endian), `u1` or `b1`, in C order. The format is that of
/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.
///
/// It is an error, with the file's path, if the file is no such file, has fewer or more bytes than its header says, is in Fortran order, or holds
/// another dtype. Pickled objects are never read. No memory is taken on the word of a header.
///
/// ```no_run
/// use catena_data::sources::{Rows, read_npy};
///
/// let train = Rows::new("input", read_npy("features.npy")?)?.with("target", read_npy("labels.npy")?)?;
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn read(path: &Path) -> Result<Array> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut from = BufReader::new(file);
    let (header, start) = Header::read(&mut from)?;
    let Header { dtype, shape } = header;
    let each = dtype.bytes();
    let bytes = shape.iter().try_fold(each, |all, size| all.checked_mul(*size));
    let bytes = bytes.ok_or_else(|| format!("the header's shape {shape:?} is larger than any file"))?;
    let there = length.saturating_sub(start);
    if there != bytes {
        return Err(format!(
            "the header tells of {bytes} bytes of numbers (shape {shape:?}, dtype `{}`), but there are {there}: the file is cut off or damaged",
            dtype.name()
        )
        .into());
    }
    let shape = shape.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let mut numbers = Vec::new();
    from.take(bytes).read_to_end(&mut numbers)?;
    if numbers.len() as u64 != bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    dtype.array(numbers)?.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<Array> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npy");
        std::fs::write(&path, bytes).unwrap();
        read_npy(path)
    }

    fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat()
    }

    #[test]
    fn each_dtype_is_read_in_the_shape_of_the_header() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }          \n";
        let array = of(&file(header, &[1.5_f32, -2.0].map(f32::to_le_bytes).concat())).unwrap();
        assert_eq!((array.shape(), array.as_slice::<f32>().unwrap()), (&[2, 1][..], &[1.5, -2.0][..]));
        let one = |descr: &str, number: &[u8]| {
            of(&file(&format!("{{'shape': (), 'fortran_order': False, 'descr': '{descr}'}}\n"), number))
                .unwrap()
        };
        assert_eq!(one("<f8", &0.1_f64.to_le_bytes()), Array::from(0.1_f64));
        assert_eq!(one("<i2", &(-7_i16).to_le_bytes()), Array::from(-7_i16));
        assert_eq!(one("<i4", &(-7_i32).to_le_bytes()), Array::from(-7_i32));
        assert_eq!(one("<i8", &i64::MIN.to_le_bytes()), Array::from(i64::MIN));
        assert_eq!(one("|u1", &[200]), Array::from(200_u8));
        assert_eq!(one("|i1", &[200]), Array::from(-56_i8));
        assert_eq!(one("|b1", &[1]), Array::from(true));
        let empty = of(&file("{'descr': '<i8', 'fortran_order': False, 'shape': (0, 3)}\n", &[])).unwrap();
        assert_eq!(empty.shape(), [0, 3]);
    }

    #[test]
    fn a_header_of_version_2_has_a_length_of_four_bytes() {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n";
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        let bytes = [b"\x93NUMPY\x02\x00", &length[..], header.as_bytes(), &[9]].concat();
        assert_eq!(of(&bytes).unwrap().as_slice::<u8>().unwrap(), [9]);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_name_and_what_is_wrong() {
        let good = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        let shaped =
            |shape: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let typed = |descr: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
        for (bytes, sentence) in [
            (file(good, &[1, 2]), "3 bytes of numbers (shape [3], dtype `u1`), but there are 2"),
            (file(good, &[1, 2, 3, 4]), "but there are 4"),
            (file(good, &[])[..30].to_vec(), "ends within its header"),
            (Vec::new(), "ends within its header"),
            (b"PK\x03\x04 an archive".to_vec(), "not a `.npy` file"),
            (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version 9"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "header of 4294967295 bytes"),
            (file("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }\n", &[0; 4]), "Fortran order"),
            (file(&typed("'|O'"), &[0; 8]), "pickled objects"),
            (file(&typed("'>f4'"), &[0; 4]), "the dtype `>f4`"),
            (file(&typed("'<f2'"), &[0; 2]), "the dtype `<f2`"),
            (file(&typed("[('a', '<f4')]"), &[0; 4]), "structured dtype"),
            (file(&shaped("(4294967296, 4294967296)"), &[]), "larger than any file"),
            (file(&shaped("(99999999999999999999999,)"), &[]), "`shape`"),
            (file(&shaped("(-1,)"), &[]), "`shape`"),
            (file("{'descr': '<f4', 'shape': (1,), }\n", &[0; 4]), "no `fortran_order`"),
            (file("{'descr': '<f4'", &[0; 4]), "header"),
            (file(&typed("'|b1'"), &[2]), "2 is neither 0 nor 1"),
        ] {
            let error = of(&bytes).unwrap_err().to_string();
            assert!(error.contains("some.npy: ") && error.contains(sentence), "{sentence}: {error}");
        }
    }
}
