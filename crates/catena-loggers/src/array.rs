//! Numbers in rows and columns, such as a confusion matrix.
use catena_record::formats::metrics::Array as Rows;
use catena_tensor::tch::{Device, Kind, Tensor};
use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::image::Image;

/// Numbers of a shape, such as a confusion matrix: a tensor on the host. As JSON it is lists in lists.
///
/// ```
/// use catena_loggers::Array;
/// use catena_tensor::tch::Tensor;
///
/// let array = Array::of(&Tensor::from_slice(&[3i64, 1, 0, 2]).view([2, 2]))?;
/// assert_eq!((array.shape(), array.values()), (&[2, 2][..], &[3.0, 1.0, 0.0, 2.0][..]));
/// assert_eq!(serde_json::to_string(&array)?, "[[3.0,1.0],[0.0,2.0]]");
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// What a part of an array is shown as, by a logger that takes neither lists nor matrices.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A number.
    Number(f64),
    /// A matrix, as a heat map.
    Picture(Image),
}

/// How many numbers and pictures an array is shown as at most, and the longest side of a picture.
const MOST_PARTS: usize = 128;
const MOST_SIDE: usize = 2048;

impl Array {
    /// A tensor's numbers, as `f64`. Waits for the device.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let shape = tensor.size().into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
        let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        Ok(Self { shape, values: Vec::try_from(flat.f_contiguous()?.f_reshape([-1])?)? })
    }

    /// How many there are along each dimension; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A number under the name itself, a list as `name/0`, `name/1`, …, a matrix as a picture, and of what has more dimensions
    /// each part by the same rule. What is too large for that is left out: more than 128 parts, and matrices with a side of more than 2048.
    pub fn shown(&self, name: &str) -> Result<Vec<(String, Shown)>> {
        let mut shown = Vec::new();
        show(name.to_owned(), self.rows(), &mut shown)?;
        Ok(shown)
    }

    /// The numbers and their shape, as files have them.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { shape: &self.shape, values: &self.values }
    }
}

fn show(name: String, rows: Rows, shown: &mut Vec<(String, Shown)>) -> Result<()> {
    match *rows.shape {
        [] => shown.extend(rows.values.first().map(|value| (name, Shown::Number(*value)))),
        [height, width] => {
            let is_shown = [height, width].iter().all(|side| (1..=MOST_SIDE).contains(side));
            if is_shown {
                let numbers: Vec<Vec<f64>> = rows.parts().map(|row| row.values.to_vec()).collect();
                shown.push((name, Shown::Picture(Image::heat_map(&numbers)?)));
            }
        }
        _ => {
            for (i, part) in rows.parts().enumerate() {
                if shown.len() == MOST_PARTS {
                    break;
                }
                show(format!("{name}/{i}"), part, shown)?;
            }
        }
    }
    Ok(())
}

impl Serialize for Array {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.rows().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[i64]) -> Array {
        let n: i64 = shape.iter().product();
        Array::of(&Tensor::arange(n, (Kind::Float, Device::Cpu)).view(shape)).unwrap()
    }

    fn json(array: &Array) -> String {
        serde_json::to_string(array).unwrap()
    }

    #[test]
    fn any_shape_is_lists_in_lists_and_odd_numbers_are_words() {
        assert_eq!(json(&array(&[])), "0.0");
        assert_eq!(json(&array(&[3])), "[0.0,1.0,2.0]");
        assert_eq!(json(&array(&[2, 1, 2])), "[[[0.0,1.0]],[[2.0,3.0]]]");
        assert_eq!((json(&array(&[0])), json(&array(&[2, 0]))), ("[]".into(), "[[],[]]".into()));
        let odd = Tensor::from_slice(&[f64::NAN, f64::INFINITY, -0.0, 0.1]).view([2, 2]);
        assert_eq!(json(&Array::of(&odd).unwrap()), r#"[["nan","inf"],[-0.0,0.1]]"#);
        let across = Tensor::from_slice(&[1i64, 2, 3, 4]).view([2, 2]).transpose(0, 1);
        assert_eq!(json(&Array::of(&across).unwrap()), "[[1.0,3.0],[2.0,4.0]]");
    }

    #[test]
    fn a_list_is_shown_as_numbers_and_a_matrix_as_a_picture() {
        let names = |array: Array| -> Vec<String> {
            let shown = array.shown("m").unwrap().into_iter();
            let text = |(name, shown): (String, Shown)| match shown {
                Shown::Number(number) => format!("{name} is {number}"),
                Shown::Picture(image) => format!("{name} has {} × {}", image.width(), image.height()),
            };
            shown.map(text).collect()
        };
        assert_eq!(names(array(&[])), ["m is 0"]);
        assert_eq!(names(array(&[2])), ["m/0 is 0", "m/1 is 1"]);
        assert_eq!(names(array(&[2, 3])), ["m has 96 × 64"]);
        assert_eq!(names(array(&[2, 2, 2])), ["m/0 has 64 × 64", "m/1 has 64 × 64"]);
        assert_eq!(names(array(&[2, 1, 1, 1])), ["m/0/0 has 32 × 32", "m/1/0 has 32 × 32"]);
        assert_eq!((names(array(&[0, 2])), names(array(&[3000, 1]))), (vec![], vec![]));
        assert_eq!(names(array(&[1000])).len(), MOST_PARTS);
    }
}
