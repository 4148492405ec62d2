//! How samples become a batch.
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tch::Kind;

use crate::array::Array;
use crate::order::settings;
use crate::sample::Sample;
use crate::{Result, Settings};

/// How the samples of a batch become its tensors. By default ([`Collate::stack`]) each array is stacked along a new first dimension, as PyTorch's `default_collate` does.
#[derive(Clone, Debug, Default)]
pub struct Collate(pub(crate) How);

type Own = dyn Fn(&[Sample]) -> Result<Collated> + Send + Sync;

#[derive(Clone, Default)]
pub(crate) enum How {
    #[default]
    Stack,
    Pad(Vec<(Cow<'static, str>, f64)>, Option<Cow<'static, str>>),
    List,
    Own(String, Arc<Own>),
}

impl fmt::Debug for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack => f.write_str("Stack"),
            Self::Pad(padded, _) => f.debug_tuple("Pad").field(padded).finish(),
            Self::List => f.write_str("List"),
            Self::Own(name, _) => f.debug_tuple("Own").field(name).finish(),
        }
    }
}

/// A batch as plain arrays.
///
/// ```
/// use catena_data::{Collated, Sample};
///
/// let batch = Collated::new(Sample::new().with("input", vec![1.0_f32, 2.0])).weight(2.0);
/// assert_eq!(batch.arrays.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Collated {
    /// The arrays, by name; the first dimension is the samples'.
    pub arrays: Sample,
    /// What the batch counts in a mean; by default as much as its samples.
    pub weight: Option<f64>,
}

impl Collated {
    /// A batch that counts its samples.
    pub fn new(arrays: Sample) -> Self {
        Self { arrays, weight: None }
    }

    /// Sets what it counts in a mean, such as its tokens.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }
}

impl Collate {
    /// Each array stacked along a new first dimension; all samples of a batch need one shape.
    pub fn stack() -> Self {
        Self(How::Stack)
    }

    /// The named arrays are filled with a value, behind their own numbers, to the longest of the batch in their first dimension; the others are stacked. With each padded array `name` come `name.mask` (bool,
    /// `[batch, longest]`, true where a number is a sample's own) and `name.lengths` (i64, `[batch]`).
    ///
    /// ```
    /// use catena_data::{Collate, DataLoader, Draws, Sample, from_fn};
    /// use catena_tensor::data::{Loader, Start};
    ///
    /// let words = from_fn(3, |index, _: &mut Draws| Ok(Sample::new().with("input", vec![index as i64; 1 + index as usize])));
    /// let mut loader = DataLoader::new(words, 3).collate(Collate::pad([("input", -1.0)]).count("input"));
    /// loader.start(Start::default())?;
    /// let batch = loader.next_batch()?.unwrap();
    /// assert_eq!(Vec::<Vec<i64>>::try_from(batch.get("input")?)?, [[0, -1, -1], [1, 1, -1], [2, 2, 2]]);
    /// assert_eq!(batch.weight, 6.0);
    /// # Ok::<(), catena_tensor::BoxError>(())
    /// ```
    pub fn pad<N: Into<Cow<'static, str>>>(values: impl IntoIterator<Item = (N, f64)>) -> Self {
        Self(How::Pad(values.into_iter().map(|(name, value)| (name.into(), value)).collect(), None))
    }

    /// With [`Collate::pad`]: a batch's weight is the sum of this array's lengths, so that means are by token.
    #[must_use]
    pub fn count(self, name: impl Into<Cow<'static, str>>) -> Self {
        match self.0 {
            How::Pad(padded, _) => Self(How::Pad(padded, Some(name.into()))),
            other => Self(other),
        }
    }

    /// No array is joined: sample i's `name` becomes the batch's `name.i`.
    pub fn list() -> Self {
        Self(How::List)
    }

    /// A function of one's own, which runs on a worker; `name` says in the run's description which it is.
    pub fn own(
        name: impl Into<String>,
        collate: impl Fn(&[Sample]) -> Result<Collated> + Send + Sync + 'static,
    ) -> Self {
        Self(How::Own(name.into(), Arc::new(collate)))
    }

    pub(crate) fn describe(&self) -> Settings {
        match &self.0 {
            How::Stack => settings([("name", "stack".into())]),
            How::Pad(padded, count) => {
                let values = padded.iter().map(|(name, value)| (name.to_string(), number(*value)));
                settings([
                    ("name", "pad".into()),
                    ("values", values.collect::<Settings>().into()),
                    ("count", count.as_deref().into()),
                ])
            }
            How::List => settings([("name", "list".into())]),
            How::Own(name, _) => settings([("name", format!("own: {name}").into())]),
        }
    }

    /// A batch of these samples; `template` is one that says which arrays there are if there is none.
    pub(crate) fn apply(&self, samples: &[Sample], template: Option<&Sample>) -> Result<Collated> {
        let named = samples.first().or(template);
        let names: Vec<_> =
            named.into_iter().flat_map(Sample::entries).map(|(name, _)| name.clone()).collect();
        for (at, sample) in samples.iter().enumerate() {
            if sample.len() != names.len() {
                let own: Vec<_> = sample.iter().map(|(name, _)| name).collect();
                return Err(format!(
                    "the samples of a batch have other arrays: number {at} in it has {}, the first has {}",
                    own.join(", "),
                    names.join(", ")
                )
                .into());
            }
        }
        let of = |name: &str| samples.iter().map(|sample| sample.get(name)).collect::<Result<Vec<_>>>();
        let template = |name: &str| template.and_then(|sample| sample.get(name).ok());
        let (mut batch, mut weight) = (Sample::new(), None);
        match &self.0 {
            How::Own(_, collate) => return collate(samples),
            How::List => {
                for name in names {
                    for (at, array) in of(&name)?.into_iter().enumerate() {
                        batch.insert(format!("{name}.{at}"), array.clone());
                    }
                }
            }
            How::Stack => {
                for name in names {
                    let array = stacked(&name, &of(&name)?, template(&name))?;
                    batch.insert(name, array);
                }
            }
            How::Pad(padded, count) => {
                if let Some((unknown, _)) = padded.iter().find(|(name, _)| !names.contains(name)) {
                    return Err(format!(
                        "Collate::pad: no array is named `{unknown}`; there are: {}",
                        names.join(", ")
                    )
                    .into());
                }
                for name in names {
                    let arrays = of(&name)?;
                    let Some((_, value)) = padded.iter().find(|(own, _)| *own == name) else {
                        let array = stacked(&name, &arrays, template(&name))?;
                        batch.insert(name, array);
                        continue;
                    };
                    let lengths = arrays.iter().map(|array| {
                        array.shape().first().copied().ok_or_else(|| {
                            format!("Collate::pad: `{name}` is one number, which has no length")
                        })
                    });
                    let lengths = lengths.collect::<Result<Vec<_>, _>>()?;
                    let longest = lengths.iter().copied().max().unwrap_or(0);
                    let filled = arrays.iter().map(|array| array.filled(longest, *value));
                    let filled =
                        filled.collect::<Result<Vec<_>>>().map_err(|why| format!("`{name}`: {why}"))?;
                    let array = stacked(&name, &filled.iter().collect::<Vec<_>>(), template(&name))?;
                    let mask = lengths.iter().flat_map(|own| (0..longest).map(move |at| at < *own));
                    let mask = mask.collect::<Array>().reshape([lengths.len(), longest])?;
                    if count.as_deref() == Some(&*name) {
                        weight = Some(lengths.iter().sum::<usize>() as f64);
                    }
                    batch.insert(format!("{name}.mask"), mask);
                    batch.insert(
                        format!("{name}.lengths"),
                        lengths.iter().map(|own| *own as i64).collect::<Array>(),
                    );
                    batch.insert(name, array);
                }
                if weight.is_none()
                    && let Some(count) = count
                {
                    return Err(
                        format!("Collate::pad counts `{count}`, which is not among the padded").into()
                    );
                }
            }
        }
        Ok(Collated { arrays: batch, weight })
    }
}

fn number(value: f64) -> serde_json::Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// The arrays along a new first dimension.
fn stacked(name: &str, arrays: &[&Array], template: Option<&Array>) -> Result<Array> {
    let Some(first) = arrays.first().copied().or(template) else {
        return Err(format!("there is no sample to tell the shape of `{name}`").into());
    };
    let what = |array: &Array| format!("{:?} {:?}", array.kind(), array.shape());
    if let Some((at, other)) = arrays
        .iter()
        .enumerate()
        .find(|(_, array)| array.kind() != first.kind() || array.shape() != first.shape())
    {
        return Err(format!(
            "`{name}` is {} in sample number {at} of the batch, and {} in the first: one that differs in length is padded by `Collate::pad`",
            what(other),
            what(first)
        )
        .into());
    }
    let mut bytes = Vec::with_capacity(arrays.len() * first.bytes().len());
    for array in arrays {
        bytes.extend_from_slice(array.bytes());
    }
    let shape: Vec<usize> = std::iter::once(arrays.len()).chain(first.shape().iter().copied()).collect();
    Array::of_bytes(first.kind(), &bytes, shape)
}

impl Array {
    /// Filled to a length in the first dimension.
    fn filled(&self, length: usize, value: f64) -> Result<Self> {
        let row: usize = self.shape()[1..].iter().product();
        let mut bytes = self.bytes().to_vec();
        let missing = (length - self.shape()[0]) * row;
        let number = one(self.kind(), value)?;
        for _ in 0..missing {
            bytes.extend_from_slice(number.bytes());
        }
        let shape: Vec<usize> = std::iter::once(length).chain(self.shape()[1..].iter().copied()).collect();
        Self::of_bytes(self.kind(), &bytes, shape)
    }
}

/// A number of a type, if the type has it.
fn one(kind: Kind, value: f64) -> Result<Array> {
    let number: Array = match kind {
        Kind::Uint8 => (value as u8).into(),
        Kind::Int8 => (value as i8).into(),
        Kind::Int16 => (value as i16).into(),
        Kind::Int => (value as i32).into(),
        Kind::Int64 => (value as i64).into(),
        Kind::Float => return Ok((value as f32).into()),
        Kind::Double => return Ok(value.into()),
        _ => (value != 0.0).into(),
    };
    let back = match number.values() {
        crate::array::Values::U8(numbers) => f64::from(numbers[0]),
        crate::array::Values::I8(numbers) => f64::from(numbers[0]),
        crate::array::Values::I16(numbers) => f64::from(numbers[0]),
        crate::array::Values::I32(numbers) => f64::from(numbers[0]),
        crate::array::Values::I64(numbers) => numbers[0] as f64,
        crate::array::Values::Bool(numbers) => f64::from(u8::from(numbers[0])),
        _ => value,
    };
    if back != value {
        return Err(format!("{kind:?} has no number {value} to pad with").into());
    }
    Ok(number)
}
