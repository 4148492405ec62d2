//! Sentences as rows of token ids.
use catena_tensor::tch::{Kind, Tensor};
use catena_tensor::{Error, Result};

use super::Seen;

/// Row lengths: ids up to the first that fills up.
pub(super) fn lengths(ids: &Tensor, fill: i64) -> Result<Tensor> {
    Ok(ids.f_ne(fill)?.f_to_kind(Kind::Int64)?.f_cumprod(-1, Kind::Int64)?.f_sum_dim_intlist(
        -1i64,
        false,
        Kind::Int64,
    )?)
}

/// Hypotheses `[n, length]` and references `[n, references, length]`, i64.
pub(super) fn sentences(seen: &Seen) -> Result<(Tensor, Tensor)> {
    let (input, target) = (seen.input, seen.need_target()?);
    let (has, is) = (input.size(), target.size());
    if has.len() != 2 || !(2..=3).contains(&is.len()) || has[0] != is[0] {
        let expected =
            format!("ids are [n, length] against [n, length] or [n, references, length], here {is:?}");
        return Err(Error::Shape { what: "the input".into(), got: has, expected });
    }
    let target = if is.len() == 2 { target.f_unsqueeze(1)? } else { target.shallow_clone() };
    Ok((input.f_to_kind(Kind::Int64)?, target.f_to_kind(Kind::Int64)?))
}
