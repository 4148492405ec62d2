//! Plain numbers with a shape: what passes between threads in place of tensors.
use tch::Kind;

use crate::Result;

/// Numbers of one type in rows (C order), with a shape. Without dimensions it is one number.
///
/// ```
/// use catena_data::Array;
/// use tch::Kind;
///
/// let image = Array::from(vec![0_u8; 12]).reshape([3, 2, 2])?;
/// assert_eq!((image.kind(), image.shape()), (Kind::Uint8, &[3, 2, 2][..]));
/// assert!(Array::from(vec![0_u8; 12]).reshape([5]).is_err());
/// # Ok::<(), catena_tensor::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    values: Values,
    shape: Vec<usize>,
}

/// The numbers of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is called as its element")]
pub enum Values {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
}

/// A type that an [`Array`] holds.
pub trait Element: Copy + Sized {
    /// The dtype of its tensors.
    const KIND: Kind;
    /// Numbers of this type.
    fn wrap(values: Vec<Self>) -> Values;
    /// The numbers, if they are of this type.
    fn unwrap(values: &Values) -> Option<&[Self]>;
    /// The number of so many bytes, in the machine's order.
    fn of_bytes(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    (@read bool, $bytes:ident) => {
        $bytes[0] != 0
    };
    (@read $type:ident, $bytes:ident) => {
        bytemuck::pod_read_unaligned($bytes)
    };
    ($($type:ident, $variant:ident, $kind:ident;)+) => {
        $(impl Element for $type {
            const KIND: Kind = Kind::$kind;
            fn wrap(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }
            fn unwrap(values: &Values) -> Option<&[Self]> {
                match values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }
            fn of_bytes(bytes: &[u8]) -> Self {
                elements!(@read $type, bytes)
            }
        }
        impl From<$type> for Array {
            fn from(number: $type) -> Self {
                Self { values: Values::$variant(vec![number]), shape: Vec::new() }
            }
        })+

        impl Values {
            /// How many numbers there are.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => values.len(),)+
                }
            }
            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
            /// Their bytes, in the machine's order.
            pub fn bytes(&self) -> &[u8] {
                match self {
                    $(Self::$variant(values) => bytemuck::cast_slice(values),)+
                }
            }
            fn of_bytes(kind: Kind, bytes: &[u8]) -> Result<Self> {
                match kind {
                    $(Kind::$kind => {
                        let numbers = bytes.chunks_exact(size_of::<$type>()).map(<$type as Element>::of_bytes);
                        Ok(Self::$variant(numbers.collect()))
                    })+
                    other => Err(format!("an array has no numbers of {other:?}").into()),
                }
            }
            /// The dtype of their tensors.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$kind,)+
                }
            }
        }
    };
}
elements! {
    u8, U8, Uint8;
    i8, I8, Int8;
    i16, I16, Int16;
    i32, I32, Int;
    i64, I64, Int64;
    f32, F32, Float;
    f64, F64, Double;
    bool, Bool, Bool;
}

impl<T: Element> From<Vec<T>> for Array {
    fn from(values: Vec<T>) -> Self {
        Self { shape: vec![values.len()], values: T::wrap(values) }
    }
}

impl<T: Element> FromIterator<T> for Array {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl Array {
    /// The same numbers in another shape, which must hold as many.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        let room = shape.iter().try_fold(1_usize, |room, size| room.checked_mul(*size));
        if room != Some(self.values.len()) {
            return Err(format!("{} numbers do not fit into the shape {shape:?}", self.values.len()).into());
        }
        Ok(Self { shape, ..self })
    }

    /// An array of these bytes, in the machine's order.
    pub(crate) fn of_bytes(kind: Kind, bytes: &[u8], shape: Vec<usize>) -> Result<Self> {
        Self { values: Values::of_bytes(kind, bytes)?, shape: Vec::new() }.reshape(shape)
    }

    /// The sizes of its dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The dtype of its tensors.
    pub fn kind(&self) -> Kind {
        self.values.kind()
    }

    /// The numbers.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers' bytes, in the machine's order.
    pub fn bytes(&self) -> &[u8] {
        self.values.bytes()
    }

    /// The numbers, if they are of this type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        T::unwrap(&self.values).ok_or_else(|| {
            format!("the array holds {:?}, and {:?} was asked for", self.kind(), T::KIND).into()
        })
    }
}
