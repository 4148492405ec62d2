//! What losses ask of their tensors before they compute anything.
use tch::{Kind, Tensor};

use super::{floating, same_shape};
use crate::batch::{Batch, Outputs};
use crate::error::{Error, Result};

/// An output of floating point numbers and a target of its shape; whole numbers become the output's dtype.
pub(super) fn pair(output_name: &str, output: &Tensor, target_name: &str, target: &Tensor) -> Result<Tensor> {
    same_shape(output_name, output, target_name, target)?;
    floating(output_name, output)?;
    as_numbers(target, output)
}

/// A tensor, in another's dtype if it has whole numbers.
pub(super) fn as_numbers(tensor: &Tensor, like: &Tensor) -> Result<Tensor> {
    Ok(if is_whole(tensor.f_kind()?) { tensor.f_to_kind(like.f_kind()?)? } else { tensor.shallow_clone() })
}

/// Whether labels may have this dtype.
pub(super) fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8 | Kind::Bool)
}

/// Labels as libtorch takes them, or an error where they are no whole numbers.
pub(super) fn whole(name: &str, tensor: &Tensor) -> Result<Tensor> {
    match tensor.f_kind()? {
        Kind::Int64 => Ok(tensor.shallow_clone()),
        kind if is_whole(kind) => Ok(tensor.f_to_kind(Kind::Int64)?),
        got => {
            Err(Error::Kind { what: format!("`{name}`"), got, expected: "whole numbers are needed".into() })
        }
    }
}

/// A tensor of this shape, or an error that says why.
pub(super) fn shape(name: &str, tensor: &Tensor, wanted: &[i64], why: &str) -> Result<()> {
    if tensor.size() == wanted {
        return Ok(());
    }
    let expected = format!("{why}, so it must have shape {wanted:?}");
    Err(Error::Shape { what: format!("`{name}`"), got: tensor.size(), expected })
}

/// A tensor of so many dimensions, or an error that shows them.
pub(super) fn dims(name: &str, tensor: &Tensor, allowed: &[usize], shown: &str) -> Result<()> {
    if allowed.contains(&tensor.dim()) {
        return Ok(());
    }
    let expected = format!("it must be {shown}");
    Err(Error::Shape { what: format!("`{name}`"), got: tensor.size(), expected })
}

/// A tensor that a model may give, or a batch.
pub(super) fn given<'a>(name: &str, outputs: &'a Outputs, batch: &'a Batch) -> Result<&'a Tensor> {
    if let Some(tensor) = outputs.find(name).or_else(|| batch.tensors.find(name)) {
        return Ok(tensor);
    }
    let known = outputs.names().chain(batch.tensors.names()).map(str::to_owned).collect();
    Err(Error::MissingTensor { name: name.to_owned(), known })
}

/// Whether a tensor of one shape broadcasts to another without making it larger.
pub(super) fn broadcasts(from: &[i64], to: &[i64]) -> bool {
    from.len() <= to.len()
        && from.iter().rev().zip(to.iter().rev()).all(|(from, to)| from == to || *from == 1)
}

/// The first number of a tensor that is not from `low` to `high`, NaN included.
pub(super) fn outside(tensor: &Tensor, low: f64, high: f64) -> Option<f64> {
    let flat =
        tensor.f_detach().and_then(|t| t.f_to_kind(Kind::Double)).and_then(|t| t.f_flatten(0, -1)).ok()?;
    Vec::<f64>::try_from(flat).ok()?.into_iter().find(|x| !(low..=high).contains(x))
}
