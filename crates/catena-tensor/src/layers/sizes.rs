//! How sizes are written: one number for all dimensions, or one for each.

/// Height and width: `3` is both, `[3, 5]` each.
///
/// ```
/// use catena_tensor::layers::Pair;
///
/// assert_eq!(Pair::from(3), Pair::from([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [i64; 2]);

impl From<i64> for Pair {
    fn from(both: i64) -> Self {
        Self([both; 2])
    }
}

impl From<[i64; 2]> for Pair {
    fn from(each: [i64; 2]) -> Self {
        Self(each)
    }
}

/// Sizes of any number of dimensions: `64` is one, `[8, 8]` are two.
///
/// ```
/// use catena_tensor::layers::Shape;
///
/// assert_eq!(Shape::from(64), Shape::from([64]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<i64>);

impl From<i64> for Shape {
    fn from(size: i64) -> Self {
        Self(vec![size])
    }
}

impl<const N: usize> From<[i64; N]> for Shape {
    fn from(sizes: [i64; N]) -> Self {
        Self(sizes.to_vec())
    }
}

impl From<&[i64]> for Shape {
    fn from(sizes: &[i64]) -> Self {
        Self(sizes.to_vec())
    }
}

impl From<Vec<i64>> for Shape {
    fn from(sizes: Vec<i64>) -> Self {
        Self(sizes)
    }
}

/// An output's height and width: `1` is both, `[7, 5]` each, and `None` is as the input has it.
///
/// ```
/// use catena_tensor::layers::OutputSize;
///
/// assert_eq!(OutputSize::from(1), OutputSize::from([Some(1), Some(1)]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputSize(pub [Option<i64>; 2]);

impl From<i64> for OutputSize {
    fn from(both: i64) -> Self {
        Self([Some(both); 2])
    }
}

impl From<[i64; 2]> for OutputSize {
    fn from(each: [i64; 2]) -> Self {
        Self(each.map(Some))
    }
}

impl From<[Option<i64>; 2]> for OutputSize {
    fn from(each: [Option<i64>; 2]) -> Self {
        Self(each)
    }
}
