//! Arrays in memory, a sample for each row.
use std::borrow::Cow;

use crate::array::{Array, Element, Values};
use crate::dataset::Dataset;
use crate::draws::Draws;
use crate::order::{fingerprint, settings};
use crate::sample::Sample;
use crate::{Result, Settings};

/// Rows of one or more arrays: sample `i` holds row `i` of each, which has the shape of the array without its first dimension. PyTorch's
/// `TensorDataset`, with names.
///
/// ```
/// use catena_data::{Array, Dataset, sources::Rows};
///
/// let input = Array::from(vec![0.0_f32, 0.1, 1.0, 1.1]).reshape([2, 2])?;
/// let rows = Rows::new("input", input)?.with("target", vec![3_i64, 4])?;
/// assert_eq!(rows.len(), 2);
/// let error = rows.with("weight", vec![1.0_f32]).unwrap_err();
/// assert_eq!(error.to_string(), "`weight` has 1 rows, but `input` has 2: each array needs as many");
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rows {
    arrays: Vec<(Cow<'static, str>, Array)>,
    len: usize,
    origin: Option<String>,
}

impl Rows {
    /// Rows of one array. It is an error if the array has no dimension.
    pub fn new(name: impl Into<Cow<'static, str>>, array: impl Into<Array>) -> Result<Self> {
        let (name, array) = (name.into(), array.into());
        let len = rows_of(&name, &array)?;
        Ok(Self { arrays: vec![(name, array)], len, origin: None })
    }

    /// Adds the rows of another array. It is an error if the array has another number of rows, or a name that is taken.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, array: impl Into<Array>) -> Result<Self> {
        let (name, array) = (name.into(), array.into());
        let first = &self.arrays[0].0;
        let rows = rows_of(&name, &array)?;
        if rows != self.len {
            return Err(format!(
                "`{name}` has {rows} rows, but `{first}` has {}: each array needs as many",
                self.len
            )
            .into());
        }
        if self.arrays.iter().any(|(other, _)| *other == name) {
            return Err(format!("two arrays are named `{name}`: give one of them another name").into());
        }
        self.arrays.push((name, array));
        Ok(self)
    }

    /// Says where the rows come from, for errors: [`Dataset::origin`] adds the row's number.
    #[must_use]
    pub fn from(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }
}

fn rows_of(name: &str, array: &Array) -> Result<usize> {
    array.shape().first().copied().ok_or_else(|| {
        format!("`{name}` is one number without a dimension: rows need an array of at least one").into()
    })
}

fn row(array: &Array, index: usize) -> Result<Array> {
    let shape = &array.shape()[1..];
    let each: usize = shape.iter().product();
    let place = index * each..(index + 1) * each;
    fn cut<T: Element>(values: &[T], place: std::ops::Range<usize>) -> Array {
        Array::from(values[place].to_vec())
    }
    match array.values() {
        Values::U8(values) => cut(values, place),
        Values::I8(values) => cut(values, place),
        Values::I16(values) => cut(values, place),
        Values::I32(values) => cut(values, place),
        Values::I64(values) => cut(values, place),
        Values::F32(values) => cut(values, place),
        Values::F64(values) => cut(values, place),
        Values::Bool(values) => cut(values, place),
    }
    .reshape(shape)
}

impl Dataset for Rows {
    fn len(&self) -> u64 {
        self.len as u64
    }

    fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
        let at = usize::try_from(index).ok().filter(|at| *at < self.len);
        let at = at.ok_or_else(|| format!("there is no row {index}: the rows end at {}", self.len))?;
        let mut sample = Sample::new();
        for (name, array) in &self.arrays {
            sample.insert(name.clone(), row(array, at)?);
        }
        Ok(sample)
    }

    fn describe(&self) -> Settings {
        let array = |(name, array): &(Cow<'static, str>, Array)| {
            (name.to_string(), fingerprint(array.bytes()).into())
        };
        settings([("arrays_sha256", serde_json::Value::Object(self.arrays.iter().map(array).collect()))])
    }

    fn origin(&self, index: u64) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}, row {index}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_say_of_themselves_changes_with_a_number() {
        let rows = |last: f32| Rows::new("input", vec![0.5, last]).unwrap().describe();
        assert_eq!(rows(1.0), rows(1.0));
        assert_ne!(rows(1.0), rows(-1.0));
    }

    fn draws() -> Draws {
        Draws::new(Default::default(), 0, 0)
    }

    #[test]
    fn a_row_has_the_numbers_and_the_shape_of_its_place_in_each_array() {
        let input = Array::from((0..12_u8).collect::<Vec<_>>()).reshape([3, 2, 2]).unwrap();
        let rows =
            Rows::new("input", input).unwrap().with("target", vec![7_i64, 8, 9]).unwrap().from("memory");
        let sample = rows.get(1, &mut draws()).unwrap();
        assert_eq!(sample.get("input").unwrap().shape(), [2, 2]);
        assert_eq!(sample.get("input").unwrap().as_slice::<u8>().unwrap(), [4, 5, 6, 7]);
        assert_eq!(sample.get("target").unwrap(), &Array::from(8_i64));
        assert_eq!(rows.origin(1).unwrap(), "memory, row 1");
    }

    #[test]
    fn what_is_no_row_and_what_does_not_fit_is_an_error() {
        let rows = Rows::new("input", vec![1_u8, 2]).unwrap();
        let error = rows.get(2, &mut draws()).unwrap_err().to_string();
        assert_eq!(error, "there is no row 2: the rows end at 2");
        let error = rows.with("input", vec![1_u8, 2]).unwrap_err().to_string();
        assert_eq!(error, "two arrays are named `input`: give one of them another name");
        assert!(Rows::new("input", 1_u8).is_err());
    }
}
