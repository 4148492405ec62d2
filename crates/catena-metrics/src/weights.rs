//! What items count, and counting them.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

/// The weight of each item of `like`, as f64 of its shape: 1 if none is given; one number a row counts for the whole row.
pub(crate) fn weight_like(weight: Option<&Tensor>, like: &Tensor) -> Result<Tensor> {
    let size = like.size();
    let Some(weight) = weight else { return Ok(Tensor::f_ones(size, (Kind::Double, like.device()))?) };
    let has = weight.size();
    let weight = weight.f_detach()?.f_to_kind(Kind::Double)?;
    if has == size {
        return Ok(weight);
    }
    if has.len() > size.len() || size[..has.len()] != has {
        let expected = format!("the target has shape {size:?}, so weights need it too, or its first part");
        return Err(Error::Shape { what: "the weight".into(), got: has, expected });
    }
    let ones = vec![1; size.len() - has.len()];
    Ok(weight.f_reshape([has, ones].concat())?.f_expand(size, false)?)
}

/// The weight, and 0 where the target is the one that counts for nothing.
pub(crate) fn ignoring(ignore_index: Option<i64>, weight: Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(match ignore_index {
        Some(label) => weight.f_mul(&target.f_ne(label)?)?,
        None => weight,
    })
}

/// Sums of `weight` by index, `[size]`.
pub(crate) fn count(index: &Tensor, weight: &Tensor, size: i64) -> Result<Tensor> {
    let zeros = Tensor::f_zeros([size], (Kind::Double, index.device()))?;
    Ok(zeros.f_scatter_add(0, &index.f_reshape([-1i64])?, &weight.f_reshape([-1i64])?)?)
}
