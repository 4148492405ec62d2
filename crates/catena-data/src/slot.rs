//! The place of a sample in its batch.
use std::borrow::Cow;

use tch::Kind;

use crate::Result;
use crate::array::Element;
use crate::sample::Sample;

/// A batch's memory for one sample: numbers by name, to be written. What the batch's arrays are called, and of which type and shape a sample's are, is what an earlier sample
/// of the loader had.
///
/// ```
/// use catena_data::{Dataset, Draws, Result, Sample, Slot};
///
/// struct Counting;
///
/// impl Dataset for Counting {
///     fn len(&self) -> u64 {
///         1000
///     }
///     fn get(&self, index: u64, _: &mut Draws) -> Result<Sample> {
///         Ok(Sample::new().with("input", vec![index as f32; 4]))
///     }
///     fn write(&self, index: u64, _: &mut Draws, slot: &mut Slot) -> Result<bool> {
///         slot.get::<f32>("input")?.fill(index as f32);
///         Ok(true)
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Slot<'a> {
    fields: &'a [Field],
    memory: Vec<&'a mut [u8]>,
}

/// One of a sample's arrays: its name, type and shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
}

impl Field {
    /// How many bytes a sample has of it.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.kind.elt_size_in_bytes()
    }
}

impl<'a> Slot<'a> {
    pub(crate) fn new(fields: &'a [Field], memory: Vec<&'a mut [u8]>) -> Self {
        Self { fields, memory }
    }

    /// The numbers of this name, to be written. An error if there are none, or if they are of another type.
    pub fn get<T: Element + bytemuck::Pod>(&mut self, name: &str) -> Result<&mut [T]> {
        let Some(at) = self.fields.iter().position(|field| field.name == name) else {
            let known: Vec<_> = self.fields.iter().map(|field| &*field.name).collect();
            return Err(format!("no array is named `{name}`; there are: {}", known.join(", ")).into());
        };
        let kind = self.fields[at].kind;
        if kind != T::KIND {
            return Err(format!("`{name}` has numbers of {kind:?}, not of {:?}", T::KIND).into());
        }
        Ok(bytemuck::try_cast_slice_mut(self.memory[at]).map_err(|why| format!("`{name}`: {why}"))?)
    }

    /// The shape of the array of this name in a sample.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.fields.iter().find(|field| field.name == name).map(|field| &*field.shape)
    }

    /// Copies a sample into it, if it has the same arrays; false if not.
    pub(crate) fn take(&mut self, sample: &Sample) -> bool {
        if !fits(sample, self.fields) {
            return false;
        }
        for ((_, array), memory) in sample.iter().zip(&mut self.memory) {
            memory.copy_from_slice(array.bytes());
        }
        true
    }
}

/// What arrays a sample has.
pub(crate) fn fields_of(sample: &Sample) -> Vec<Field> {
    let field = |(name, array): (&Cow<'static, str>, &crate::array::Array)| Field {
        name: name.clone(),
        kind: array.kind(),
        shape: array.shape().to_vec(),
    };
    sample.entries().map(field).collect()
}

/// Whether a sample has these arrays.
pub(crate) fn fits(sample: &Sample, fields: &[Field]) -> bool {
    sample.len() == fields.len()
        && sample.iter().zip(fields).all(|((name, array), field)| {
            name == field.name && array.kind() == field.kind && array.shape() == field.shape
        })
}
